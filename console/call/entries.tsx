import { useSignal } from '@preact/signals';
import type { TimelineEntry } from '../api/types.ts';
import { entryWords, FAULTS } from '../parts/words.ts';

/** Everything that happened on a call, as it was noted. */
export function Entries({ entries, omitted }: { entries: readonly TimelineEntry[]; omitted: number }) {
  const onlyFaults = useSignal(false);
  const faults = entries.filter(isFault);
  const shown = onlyFaults.value ? faults : entries;
  return (
    <>
      <label class="check">
        <input
          type="checkbox"
          checked={onlyFaults.value}
          onChange={(event) => {
            onlyFaults.value = event.currentTarget.checked;
          }}
        />
        Only what went wrong ({faults.length})
      </label>
      {omitted > 0 && <p class="quiet">{omitted} entries were left out of the middle of this very long call.</p>}
      <ol class="entries">
        {shown.map((entry, index) => {
          const { atMs, type, ...details } = entry;
          return (
            <li key={index} class={isFault(entry) ? 'bad' : undefined}>
              <span class="number quiet">{(atMs / 1000).toFixed(3)} s</span> {entryWords(type)}{' '}
              <span class="quiet">{detailText(details)}</span>
            </li>
          );
        })}
      </ol>
    </>
  );
}

export function isFault({ type, status, verdict }: TimelineEntry): boolean {
  if (type === 'upstream_error') return verdict !== 'benign';
  return FAULTS.has(type) || (type === 'response_done' && status === 'failed');
}

function detailText(details: Readonly<Record<string, unknown>>): string {
  return Object.entries(details)
    .map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`)
    .join(', ');
}
