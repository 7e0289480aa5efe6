import type { TraceContext } from '../../traces/context.ts';
import type { TracedCall } from '../../traces/traced-call.ts';
import type { Session } from '../session.ts';
import { HOPS } from './turns.ts';

/** What the trace of a call tells: its timeline, of which the steps of each turn are that turn's. */
export function tracedCall(
  { id, setup, createdAt, observer, summary }: Session,
  context: TraceContext,
  durationMs: number,
  error: string | undefined,
): TracedCall {
  const { figures, turns, events } = observer.report;
  const { tenantId, aiAgentRef, request, formats } = setup;
  const { tokens } = figures;
  return {
    context,
    startedAtMs: createdAt.getTime(),
    durationMs,
    error,
    turns,
    events: events.filter(({ type }) => !HOPS.has(type)),
    attributes: {
      'voice.call_id': request.callId,
      'voice.session_id': id,
      'voice.tenant': tenantId,
      'voice.agent': aiAgentRef,
      'voice.encoding': formats.call.encoding,
      'voice.sample_rate': formats.call.sampleRateHz,
      'voice.end_reason': summary?.endReason,
      'voice.interruptions': figures.interruptions,
      'voice.reconnects': figures.reconnects,
      'voice.audio_up_seconds': figures.audioSeconds.up,
      'voice.audio_down_seconds': figures.audioSeconds.down,
      'voice.cost': figures.cost,
      'gen_ai.request.model': figures.model,
      'gen_ai.usage.input_tokens': sumOf(tokens, /^(input|cached)_/),
      'gen_ai.usage.output_tokens': sumOf(tokens, /^output_/),
    },
  };
}

function sumOf(tokens: Readonly<Record<string, number>>, kinds: RegExp): number {
  return Object.entries(tokens).reduce((sum, [kind, count]) => (kinds.test(kind) ? sum + count : sum), 0);
}
