import { type ReadonlySignal, type Signal, useComputed, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
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

/**
 * A table that is laid out as a grid: a table layout is made anew as a whole for each text that changes; of these rows
 * only the one that changes is, and only where it can be seen.
 */
export function CallsTable({ calls }: { calls: ReadonlySignal<readonly Signal<LiveCall>[]> }) {
  const mayEnd = typeof who.value === 'object' && who.value.may.end;
  return (
    <table class="live">
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
  const row = useRef<HTMLTableRowElement>(null);
  const isSeen = useSeen(row);
  const startedAtMs = Date.parse(createdAt);
  // Who is out of sight grows older without being told.
  const lasts = useComputed(() => clock((isSeen.value ? nowMs.value : nowMs.peek()) - startedAtMs));
  const phase = useComputed(() => PHASES[call.value.phase] ?? call.value.phase);
  const trouble = useComputed(() => troubleOf(call.value)?.text ?? '');
  const rowClass = useComputed(() => (trouble.value === '' ? '' : 'bad'));
  const lastTurn = useComputed(() => (call.value.lastTurnMs === undefined ? '–' : duration(call.value.lastTurnMs)));
  const queue = useComputed(() => (call.value.queuedAudioMs === 0 ? '–' : duration(call.value.queuedAudioMs)));
  const link = linkTo('call', callId, { session: sessionId, tenant: tenantId });
  const name = callerNumber ?? callId;
  return (
    <tr ref={row} class={rowClass}>
      <th scope="row" data-label="Caller">
        <a href={link}>{name}</a> {did === undefined ? null : <span class="quiet">to {did}</span>}
        <span class="trouble">{trouble}</span>
        {callerNumber === undefined ? null : <span class="quiet id">{callId}</span>}
      </th>
      <td data-label="Agent">{aiAgentRef}</td>
      <td data-label="For" class="number">
        {lasts}
      </td>
      <td data-label="State">{phase}</td>
      <td data-label="Last answer" class="number">
        {lastTurn}
      </td>
      <td data-label="Queue" class="number">
        {queue}
      </td>
      <td>
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

/** Whether an element whose style says `content-visibility: auto` is on or near the screen. */
function useSeen(element: { readonly current: HTMLElement | null }): ReadonlySignal<boolean> {
  const isSeen = useSignal(true);
  useEffect(() => {
    const onChange = (event: Event) => {
      isSeen.value = !(event as ContentVisibilityAutoStateChangeEvent).skipped;
    };
    const { current } = element;
    current?.addEventListener('contentvisibilityautostatechange', onChange);
    return () => current?.removeEventListener('contentvisibilityautostatechange', onChange);
  }, []);
  return isSeen;
}

export function askToEnd(callId: string, tenantId: string, name: string): void {
  askFirst({
    text: `End the call of ${name}? The caller is cut off at once.`,
    yes: 'End the call',
    onYes: () => ask(`/api/voice/session/${encodeURIComponent(callId)}/end`, { method: 'POST', tenantId }),
  });
}
