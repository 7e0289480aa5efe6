import { useComputed } from '@preact/signals';
import { Chart } from '../parts/chart.tsx';
import { PageTitle } from '../parts/page-title.tsx';
import { plural } from '../parts/words.ts';
import { linkTo } from '../place.ts';
import { pastStatus, problemsOf, status } from './status.ts';

const CALLS = [{ label: 'calls', unit: '' }] as const;

const UPSTREAMS: Readonly<Record<string, string>> = {
  openai: 'a Realtime API',
  simulator: 'the embedded simulator: it understands recordings only',
};

export function HealthPage() {
  const calls = useComputed<[number[], number[]]>(() => [
    pastStatus.value.map(({ atSeconds }) => atSeconds),
    pastStatus.value.map((one) => one.status.health.sessions),
  ]);
  const { value } = status;
  return (
    <>
      <PageTitle title="Health" />
      {value === undefined ? (
        <p class="quiet">Asking the gateway…</p>
      ) : (
        <>
          {problemsOf(value).length === 0 && <p class="good">Nothing is wrong. A new call would be taken now.</p>}
          <dl class="health">
            <dt>Calls</dt>
            <dd>
              <a href={linkTo('')}>{plural(value.health.sessions, 'call')}</a>
            </dd>
            <dt>Answered by</dt>
            <dd>{UPSTREAMS[value.health.upstream] ?? value.health.upstream}</dd>
            <dt>Runs for</dt>
            <dd>{age(value.health.uptimeSeconds)}</dd>
            <dt>Version</dt>
            <dd>{value.health.version}</dd>
          </dl>
          <Chart title="Calls, since this page was opened" series={CALLS} data={calls} />
        </>
      )}
    </>
  );
}

function age(seconds: number): string {
  if (seconds < 120) return plural(Math.round(seconds), 'second');
  if (seconds < 7_200) return plural(Math.round(seconds / 60), 'minute');
  if (seconds < 172_800) return plural(Math.round(seconds / 3_600), 'hour');
  return plural(Math.round(seconds / 86_400), 'day');
}
