import { useComputed } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import type { Status } from '../api/types.ts';
import { Chart } from '../parts/chart.tsx';
import { PageTitle } from '../parts/page-title.tsx';
import { bytes, duration, plural } from '../parts/words.ts';
import { linkTo } from '../place.ts';
import { who } from '../sign-in/who.ts';
import { pastStatus, problems, status } from './status.ts';

const CALLS = [{ label: 'calls', unit: '' }] as const;
const LATE = [{ label: 'late', unit: ' ms' }] as const;

/** How the gateway does, and what of it is near its limit. */
export function HealthPage() {
  const { value } = status;
  return (
    <>
      <PageTitle title="Health" />
      {problems.value.length === 0 && <p class="good">Nothing is wrong. A new call would be taken now.</p>}
      {value !== undefined ? (
        <Figures status={value} />
      ) : (
        <p class="quiet">
          {typeof who.value === 'object' && who.value.role === 'tenant'
            ? "The rest is the operator's to see."
            : 'Asking the gateway…'}
        </p>
      )}
    </>
  );
}

function Figures({
  status: { upstream, store, backend, cluster, load, agents, uptimeSeconds, version },
}: {
  status: Status;
}) {
  const { ok, failed, lastFailure, lastFailureAgoMs } = upstream.connects;
  return (
    <>
      <div class="columns">
        <section aria-labelledby="load">
          <h2 id="load">Load, against what is bearable</h2>
          <dl class="health">
            <Load name="Calls" of={load.sessions} show={String} link={linkTo('')} />
            <Load name="Main thread is late" of={load.eventLoopMs} show={duration} />
            <Load name="Audio jobs that wait" of={load.poolQueue} show={(jobs) => String(Math.round(jobs))} />
            <Load name="Memory" of={load.rssMb} show={(megabytes) => bytes(megabytes * 1e6)} />
            <Load name="Files and connections" of={load.descriptors} show={String} />
            <Load name="Cores in use" of={load.cpuCores} show={(cores) => cores.toFixed(1)} />
          </dl>
        </section>
        <section aria-labelledby="others">
          <h2 id="others">What it depends on</h2>
          <dl class="health">
            <Fact name="The AI" isBad={upstream.connects.failedInARow > 0}>
              {upstream.kind === 'simulator' ? 'the embedded simulator, which understands recordings only. ' : ''}
              {ok + failed === 0
                ? 'no connection was tried for five minutes'
                : `${ok} of ${plural(ok + failed, 'connection')} in five minutes`}
              {lastFailure !== undefined &&
                `; ${lastFailure.replaceAll('_', ' ')}, ${duration(lastFailureAgoMs ?? 0)} ago`}
            </Fact>
            <Fact name="Store of calls" isBad={!store.isUp}>
              {store.isUp ? 'written' : `not written: ${plural(store.unwritten, 'call')} in memory only`},{' '}
              {bytes(store.byteCount)}, <a href={linkTo('history')}>history</a>
            </Fact>
            <Fact name="W3 backend" isBad={backend.isFailing}>
              {!backend.isSet ? 'none' : backend.isFailing ? 'does not answer' : 'answers'}
              {backend.summariesPending > 0 && `, ${plural(backend.summariesPending, 'summary', 'summaries')} wait`}
            </Fact>
            <Fact name="Other nodes" isBad={cluster.isShared && !cluster.isDirectoryUp}>
              {!cluster.isShared
                ? 'none'
                : cluster.isDirectoryUp
                  ? plural(cluster.nodes, 'node')
                  : 'their directory cannot be reached'}
            </Fact>
            <Fact name="Runs for">{age(uptimeSeconds)}</Fact>
            <Fact name="Version">{version}</Fact>
          </dl>
        </section>
        <section aria-labelledby="agents" class="all">
          <h2 id="agents">Agents</h2>
          <ul class="plain">
            {agents.map(({ ref, isUsable, problem }) => (
              <li key={ref}>
                <a href={linkTo('history', undefined, { agent: ref })}>{ref}</a>{' '}
                <span class={isUsable && problem === undefined ? 'quiet' : 'trouble'}>
                  {isUsable ? 'usable' : 'not usable'}
                  {problem === undefined ? '' : `: ${problem}`}
                </span>
              </li>
            ))}
          </ul>
        </section>
      </div>
      <Charts />
    </>
  );
}

function Charts() {
  const times = () => pastStatus.value.map(({ atSeconds }) => atSeconds);
  const calls = useComputed<[number[], number[]]>(() => [
    times(),
    pastStatus.value.map((one) => one.status.load.sessions.now),
  ]);
  const late = useComputed<[number[], number[]]>(() => [
    times(),
    pastStatus.value.map((one) => one.status.load.eventLoopMs.now),
  ]);
  return (
    <div class="columns">
      <Chart title="Calls, since this page was opened" series={CALLS} data={calls} />
      <Chart title="Lateness of the main thread" series={LATE} data={late} />
    </div>
  );
}

type Measured = Status['load']['sessions'];

function Load(props: { name: string; of: Measured; show: (value: number) => string; link?: string }) {
  const { now, limit } = props.of;
  const text = props.show(now);
  return (
    <Fact name={props.name} isBad={limit !== undefined && now >= limit * 0.9}>
      {props.link === undefined ? text : <a href={props.link}>{text}</a>}
      {limit !== undefined && (
        <>
          {' '}
          <span class="quiet">of {props.show(limit)}</span>{' '}
          <meter value={Math.min(now, limit)} max={limit} aria-label={props.name} />
        </>
      )}
    </Fact>
  );
}

function Fact({ name, isBad = false, children }: { name: string; isBad?: boolean; children: ComponentChildren }) {
  return (
    <>
      <dt>{name}</dt>
      <dd class={isBad ? 'trouble' : undefined}>{children}</dd>
    </>
  );
}

function age(seconds: number): string {
  if (seconds < 120) return plural(Math.round(seconds), 'second');
  if (seconds < 7_200) return plural(Math.round(seconds / 60), 'minute');
  if (seconds < 172_800) return plural(Math.round(seconds / 3_600), 'hour');
  return plural(Math.round(seconds / 86_400), 'day');
}
