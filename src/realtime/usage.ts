import type { RealtimeResponseUsage } from 'openai/resources/realtime/realtime';
import type { TokenUsage } from '../upstream/host.ts';

/** The tokens of a `response.done`, with zeros for what the server left out. */
export function tokenUsage(usage: RealtimeResponseUsage | null | undefined): TokenUsage | undefined {
  if (!usage) return undefined;
  const input = usage.input_token_details;
  const output = usage.output_token_details;
  return {
    inputText: input?.text_tokens ?? 0,
    inputAudio: input?.audio_tokens ?? 0,
    cachedText: input?.cached_tokens_details?.text_tokens ?? 0,
    cachedAudio: input?.cached_tokens_details?.audio_tokens ?? 0,
    outputText: output?.text_tokens ?? 0,
    outputAudio: output?.audio_tokens ?? 0,
  };
}
