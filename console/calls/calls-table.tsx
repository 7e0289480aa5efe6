import { type ReadonlySignal, type Signal, useComputed } from '@preact/signals';
import { ask } from '../api/client.ts';
import type { LiveCall } from '../api/types.ts';
import { askFirst } from '../parts/confirm.tsx';
import { nowMs } from '../parts/ticker.ts';
import { clock, duration } from '../parts/words.ts';
import { linkTo } from '../place.ts';
import { who } from '../sign-in/who.ts';
import { troubleOf } from './trouble.ts';

const PHASES: Readonly<Record<string, string>> = {
  creating: 'connecting',
  listening: 'quiet',
  caller_speaking: 'caller speaks',
  thinking: 'AI thinks',
  agent_speaking: 'agent speaks',
  ending: 'ending',
  ended: 'over',
};

export function CallsTable({ calls }: { calls: ReadonlySignal<readonly Signal<LiveCall>[]> }) {
  const mayEnd = typeof who.value === 'object' && who.value.may.end;
  return (
    <table class="calls">
      <thead>
        <tr>
          <th scope="col">Caller</th>
          <th scope="col">Agent</th>
          <th scope="col" class="number">
            For
          </th>
          <th scope="col">State</th>
          <th scope="col" class="number">
            Last answer
          </th>
          <th scope="col" class="number">
            Queue
          </th>
          <th scope="col">{mayEnd ? 'End' : ''}</th>
        </tr>
      </thead>
      <tbody>
        {calls.value.map((call) => (
          <Row key={call.peek().sessionId} call={call} mayEnd={mayEnd} />
        ))}
      </tbody>
    </table>
  );
}

/** What changes is text in a cell; the row itself is made once. */
function Row({ call, mayEnd }: { call: Signal<LiveCall>; mayEnd: boolean }) {
  const { sessionId, callId, tenantId, callerNumber, did, aiAgentRef, createdAt } = call.peek();
  const startedAtMs = Date.parse(createdAt);
  const lasts = useComputed(() => clock(nowMs.value - startedAtMs));
  const phase = useComputed(() => PHASES[call.value.phase] ?? call.value.phase);
  const trouble = useComputed(() => troubleOf(call.value)?.text ?? '');
  const rowClass = useComputed(() => (trouble.value === '' ? call.value.phase : `bad ${call.value.phase}`));
  const lastTurn = useComputed(() => (call.value.lastTurnMs === undefined ? '–' : duration(call.value.lastTurnMs)));
  const queue = useComputed(() => (call.value.queuedAudioMs === 0 ? '–' : duration(call.value.queuedAudioMs)));
  const link = linkTo('call', callId, { session: sessionId, tenant: tenantId });
  const name = callerNumber ?? callId;
  return (
    <tr class={rowClass}>
      <th scope="row" data-label="Caller">
        <a href={link}>{name}</a> {did === undefined ? null : <span class="quiet">to {did}</span>}
        {callerNumber === undefined ? null : <span class="quiet id">{callId}</span>}
        <span class="trouble">{trouble}</span>
      </th>
      <td data-label="Agent">{aiAgentRef}</td>
      <td data-label="For" class="number">
        {lasts}
      </td>
      <td data-label="State" class="phase">
        {phase}
      </td>
      <td data-label="Last answer" class="number">
        {lastTurn}
      </td>
      <td data-label="Queue" class="number">
        {queue}
      </td>
      <td class="end">
        {mayEnd && (
          <button
            type="button"
            class="danger small"
            aria-label={`End the call of ${name}`}
            onClick={() => askToEnd(callId, tenantId, name)}
          >
            End
          </button>
        )}
      </td>
    </tr>
  );
}

export function askToEnd(callId: string, tenantId: string, name: string): void {
  askFirst({
    text: `End the call of ${name}? The caller is cut off at once.`,
    yes: 'End the call',
    onYes: () => ask(`/api/voice/session/${encodeURIComponent(callId)}/end`, { method: 'POST', tenantId }),
  });
}
