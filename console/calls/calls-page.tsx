import { useComputed, useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { Failure } from '../parts/failure.tsx';
import { PageTitle } from '../parts/page-title.tsx';
import { duration, plural } from '../parts/words.ts';
import { linkTo, place } from '../place.ts';
import { numbersQuery } from '../sign-in/numbers.ts';
import { CallsTable } from './calls-table.tsx';
import { type Filter, LiveCalls } from './live-calls.ts';
import { isSlow, SLOW_TURN_MS, troubleOf } from './trouble.ts';

/** The calls that go on, worst first. */
export function CallsPage() {
  const query = numbersQuery();
  const calls = useMemo(() => new LiveCalls(query), [query['numbers']]);
  useEffect(() => () => calls.close(), [calls]);
  return (
    <>
      <PageTitle title="Calls">
        <Connection calls={calls} />
      </PageTitle>
      <Counts key={query['numbers']} calls={calls} />
      <Shown key={query['numbers']} calls={calls} />
      <JustEnded calls={calls} />
    </>
  );
}

const FILTERS: Readonly<Record<Filter, (call: Parameters<typeof troubleOf>[0]) => boolean>> = {
  all: () => true,
  trouble: (call) => troubleOf(call) !== undefined,
  slow: isSlow,
  speaking: ({ phase }) => phase === 'caller_speaking' || phase === 'agent_speaking',
};

/** The numbers; each leads to the calls behind it. */
function Counts({ calls }: { calls: LiveCalls }) {
  const counts = useComputed(() => {
    const values = calls.sorted.value.map((call) => call.value);
    const count = (filter: Filter) => values.filter(FILTERS[filter]).length;
    return { all: count('all'), trouble: count('trouble'), slow: count('slow'), speaking: count('speaking') };
  });
  const { all, trouble, slow, speaking } = counts.value;
  const here = place.value.query['show'] ?? 'all';
  const link = (filter: Filter, number: number, text: string) => (
    <a
      class={filter === 'trouble' && number > 0 ? 'count bad' : 'count'}
      href={linkTo('', undefined, filter === 'all' ? {} : { show: filter })}
      aria-current={here === filter ? 'true' : undefined}
    >
      <b>{number}</b> {text}
    </a>
  );
  return (
    <nav class="counts" aria-label="Which calls">
      {link('all', all, all === 1 ? 'call' : 'calls')}
      {link('trouble', trouble, 'in trouble')}
      {link('slow', slow, `answered later than ${duration(SLOW_TURN_MS)}`)}
      {link('speaking', speaking, 'somebody speaks')}
    </nav>
  );
}

function Shown({ calls }: { calls: LiveCalls }) {
  const words = useSignal('');
  const shown = useComputed(() => {
    const filter = FILTERS[(place.value.query['show'] ?? 'all') as Filter] ?? FILTERS.all;
    const wanted = words.value.trim().toLowerCase();
    return calls.sorted.value.filter(
      (call) => filter(call.value) && (wanted === '' || textOf(call.value).includes(wanted)),
    );
  });
  return (
    <>
      <label class="search">
        <span class="unseen">Find among these calls</span>
        <input
          type="search"
          placeholder="number, agent, call"
          value={words.value}
          onInput={(event) => {
            words.value = event.currentTarget.value;
          }}
        />
      </label>
      {!calls.hasArrived.value ? (
        <p class="quiet">Asking the gateway…</p>
      ) : shown.value.length === 0 ? (
        <p class="quiet">
          {calls.sorted.value.length === 0 ? 'No calls at the moment.' : 'None of the calls is like that.'}
        </p>
      ) : (
        <CallsTable calls={shown} />
      )}
    </>
  );
}

function textOf({
  callId,
  callerNumber = '',
  did = '',
  aiAgentRef,
  tenantId,
}: Parameters<typeof troubleOf>[0]): string {
  return `${callId} ${callerNumber} ${did} ${aiAgentRef} ${tenantId}`.toLowerCase();
}

function Connection({ calls }: { calls: LiveCalls }) {
  const state = calls.connection.value;
  if (state === 'open' || !calls.hasArrived.value) return null;
  return <Failure error="The gateway does not tell anything at the moment: what is shown may be old. Trying again." />;
}

function JustEnded({ calls }: { calls: LiveCalls }) {
  const ended = calls.ended.value;
  if (ended.length === 0) return null;
  return (
    <section aria-label="Calls that have just ended">
      <h2>Just ended</h2>
      <ul class="plain">
        {ended.map(({ sessionId, callId, tenantId, endReason }) => (
          <li key={sessionId}>
            <a href={linkTo('call', callId, { session: sessionId, tenant: tenantId })}>{callId}</a>{' '}
            <span class="quiet">{endReason ?? ''}</span>
          </li>
        ))}
      </ul>
      <p class="quiet">
        {plural(ended.length, 'call')} since this page was opened; all of them are in the{' '}
        <a href={linkTo('history')}>history</a>.
      </p>
    </section>
  );
}
