import type { CallTurn } from '../api/types.ts';
import { clock, duration } from '../parts/words.ts';

const HOPS: Readonly<Record<string, string>> = {
  response_started: 'response started',
  first_delta: 'first audio from the AI',
  in_outbox: 'ready for the client',
  handed_over: 'handed to the client',
  upstream_restored: 'AI reconnected',
};

const TRIGGERS: Readonly<Record<string, string>> = {
  greeting: 'the agent greets',
  speech: 'the caller spoke',
  dtmf: 'the caller pressed keys',
  no_input: 'nothing was said',
};

/** Each turn from the end of the question to the answer, and where the time went. */
export function Waterfall({ turns }: { turns: readonly CallTurn[] }) {
  if (turns.length === 0) return <p class="quiet">No turns yet.</p>;
  return (
    <ol class="turns">
      {turns.map((turn) => (
        <Turn key={turn.turn} turn={turn} />
      ))}
    </ol>
  );
}

function Turn({ turn }: { turn: CallTurn }) {
  const { trigger, atMs, speechMs, hops, latencyMs, status, interrupted } = turn;
  const totalMs = Math.max(1, (hops.at(-1)?.atMs ?? atMs) - atMs);
  const percent = (ms: number) => `${Math.max(0, Math.min(100, (ms / totalMs) * 100)).toFixed(2)}%`;
  return (
    <li>
      <h3>
        <span class="quiet">{clock(atMs)}</span> {TRIGGERS[trigger] ?? trigger}
        {speechMs === undefined ? '' : ` for ${duration(speechMs)}`}
        {latencyMs === undefined ? ', no audio was handed over' : `, answered in ${duration(latencyMs)}`}
        {status === undefined || status === 'completed' ? '' : `, response ${status}`}
      </h3>
      <dl class="hops">
        {hops.map(({ hop, tool, atMs: endMs, tookMs, durationMs = tookMs }, index) => (
          <div key={index}>
            <dt>{tool === undefined ? (HOPS[hop] ?? hop) : `tool ${tool}`}</dt>
            <dd>
              <span class="took">{duration(durationMs)}</span>
              <span class="bar" aria-hidden="true">
                <span
                  class={tool === undefined ? hop : 'tool'}
                  style={{ marginInlineStart: percent(endMs - durationMs - atMs), width: percent(durationMs) }}
                />
              </span>
            </dd>
          </div>
        ))}
      </dl>
      {interrupted && (
        <p class="cut">
          Interrupted at {clock(interrupted.atMs)}: {duration(interrupted.heardMs)} were heard, silent within{' '}
          {duration(interrupted.reactionMs)}.
        </p>
      )}
    </li>
  );
}
