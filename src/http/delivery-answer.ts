import type { Delivery } from '../call/reply/deliveries.ts';
import type { PollAnswer } from './schemas.ts';

/**
 * What a call's outbox had, as answers have it. Fields without content are absent: an empty string is true in Lua.
 * @param hasWords whoever reads it may see what was said
 */
export function pollAnswer(delivery: Delivery, { hasWords }: { readonly hasWords: boolean }): PollAnswer {
  const { audio, lines, actions, seq, generation, isInterruption, isLast, endReason, error } = delivery;
  return {
    ...(audio.length > 0 ? { audio: audio.map(({ base64 }) => base64).join('') } : {}),
    ...(hasWords && lines.length > 0 ? { transcript: lines.join('\n') } : {}),
    ...(actions.length > 0 ? { actions: [...actions] } : {}),
    seq,
    generation,
    ...(isInterruption ? { interrupted: true as const } : {}),
    hasMore: !isLast,
    ...(endReason ? { endReason } : {}),
    ...(error ? { error } : {}),
  };
}
