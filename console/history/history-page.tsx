import { useSignal } from '@preact/signals';
import type { TargetedSubmitEvent } from 'preact';
import { useEffect } from 'preact/hooks';
import { ask } from '../api/client.ts';
import type { KeptCallPage, ListedCall } from '../api/types.ts';
import { Failure } from '../parts/failure.tsx';
import { PageTitle } from '../parts/page-title.tsx';
import { BAD_OUTCOMES, clock, duration, moment, OUTCOMES, plural } from '../parts/words.ts';
import { goTo, linkTo, place } from '../place.ts';
import { numbersQuery } from '../sign-in/numbers.ts';

const SEARCH_FIELDS = ['q', 'outcome', 'agent', 'from', 'to'] as const;

/** Calls that are over. What is looked for is in the address: a search can be sent to a colleague. */
export function HistoryPage() {
  const { query } = place.value;
  const wanted = { ...Object.fromEntries(SEARCH_FIELDS.map((name) => [name, query[name]])), ...numbersQuery() };
  return (
    <>
      <PageTitle title="History" />
      <SearchForm query={query} />
      <Found key={JSON.stringify(wanted)} wanted={wanted} />
    </>
  );
}

function SearchForm({ query }: { query: Readonly<Record<string, string>> }) {
  const onSubmit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    goTo(
      linkTo(
        'history',
        undefined,
        Object.fromEntries(SEARCH_FIELDS.map((name) => [name, String(fields.get(name) ?? '').trim()])),
      ),
    );
  };
  return (
    <search>
      <form class="row search" onSubmit={onSubmit} key={JSON.stringify(query)}>
        <label class="wide">
          Words, last digits, or call
          <input type="search" name="q" defaultValue={query['q'] ?? ''} maxLength={256} />
        </label>
        <label>
          Ended by
          <select name="outcome" defaultValue={query['outcome'] ?? ''}>
            <option value="">anything</option>
            {Object.entries(OUTCOMES).map(([value, words]) => (
              <option key={value} value={value} selected={value === query['outcome']}>
                {words}
              </option>
            ))}
          </select>
        </label>
        <label>
          Agent
          <input
            name="agent"
            defaultValue={query['agent'] ?? ''}
            pattern="[A-Za-z0-9][A-Za-z0-9._\-]*"
            maxLength={128}
          />
        </label>
        <label>
          From
          <input type="date" name="from" defaultValue={query['from'] ?? ''} />
        </label>
        <label>
          Before
          <input type="date" name="to" defaultValue={query['to'] ?? ''} />
        </label>
        <button type="submit" class="primary">
          Search
        </button>
      </form>
    </search>
  );
}

type Wanted = Readonly<Record<string, string | undefined>>;

function addressOf(wanted: Wanted, more: Readonly<Record<string, string>> = {}): string {
  const fields = Object.entries(wanted).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return `/api/voice/calls?${new URLSearchParams([...fields, ...Object.entries(more)])}`;
}

function Found({ wanted }: { wanted: Wanted }) {
  const calls = useSignal<readonly ListedCall[]>([]);
  const next = useSignal<string | undefined>(undefined);
  const state = useSignal<'asking' | 'here'>('asking');
  const error = useSignal<unknown>(undefined);
  const read = async (cursor?: string) => {
    state.value = 'asking';
    error.value = undefined;
    try {
      const page = await ask<KeptCallPage>(addressOf(wanted, cursor === undefined ? {} : { cursor }));
      calls.value = [...calls.value, ...page.calls];
      next.value = page.nextCursor;
    } catch (failure) {
      error.value = failure;
    } finally {
      state.value = 'here';
    }
  };
  useEffect(() => {
    void read();
  }, []);
  const isAsking = state.value === 'asking';
  return (
    <section aria-label="Calls found" aria-busy={isAsking}>
      <Failure error={error.value}>
        <button type="button" onClick={() => void read(next.value)}>
          Try again
        </button>
      </Failure>
      <p class="quiet" role="status">
        {isAsking
          ? 'Searching…'
          : calls.value.length === 0
            ? 'No call is like that.'
            : `${plural(calls.value.length, 'call')}${next.value === undefined ? '' : ', and more'}`}
        {calls.value.length > 0 && (
          <>
            {' · save all as '}
            <a href={addressOf(wanted, { format: 'csv' })} download="calls.csv">
              CSV
            </a>
            {' or '}
            <a href={addressOf(wanted, { format: 'jsonl' })} download="calls.jsonl">
              JSON lines
            </a>
          </>
        )}
      </p>
      {calls.value.length > 0 && <Table calls={calls.value} />}
      {next.value !== undefined && (
        <button type="button" disabled={isAsking} onClick={() => void read(next.value)}>
          More
        </button>
      )}
    </section>
  );
}

function Table({ calls }: { calls: readonly ListedCall[] }) {
  const hasCost = calls.some(({ cost }) => cost !== undefined);
  return (
    <table class="calls">
      <thead>
        <tr>
          <th scope="col">Call</th>
          <th scope="col">Began</th>
          <th scope="col">Agent</th>
          <th scope="col" class="number">
            Lasted
          </th>
          <th scope="col">Ended by</th>
          <th scope="col" class="number">
            Answers
          </th>
          {hasCost && (
            <th scope="col" class="number">
              Cost
            </th>
          )}
        </tr>
      </thead>
      <tbody>
        {calls.map((call) => (
          <tr key={call.sessionId} class={BAD_OUTCOMES.has(call.outcome) || call.faultCount > 0 ? 'bad' : undefined}>
            <th scope="row" data-label="Call">
              <a href={linkTo('call', call.callId, { session: call.sessionId, tenant: call.tenantId })}>
                {call.callerNumber ?? call.callId}
              </a>{' '}
              {call.did === undefined ? null : <span class="quiet">to {call.did}</span>}
              {call.callerNumber === undefined ? null : <span class="quiet id">{call.callId}</span>}
              {call.recording !== undefined && <span class="quiet">recorded</span>}
              {call.faultCount > 0 && <span class="trouble">{plural(call.faultCount, 'fault')}</span>}
            </th>
            <td data-label="Began">{moment(call.startedAt)}</td>
            <td data-label="Agent">{call.aiAgentRef}</td>
            <td data-label="Lasted" class="number">
              {clock(call.durationMs)}
            </td>
            <td data-label="Ended by">
              {OUTCOMES[call.outcome] ?? call.outcome}
              {call.transferredTo === undefined ? '' : ` to ${call.transferredTo}`}
            </td>
            <td data-label="Answers" class="number">
              {call.medianTurnMs === undefined ? '–' : duration(call.medianTurnMs)}
            </td>
            {hasCost && (
              <td data-label="Cost" class="number">
                {call.cost === undefined ? '–' : call.cost.toFixed(4)}
              </td>
            )}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
