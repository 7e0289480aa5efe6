/**
 * Checks the dashboards against a real Prometheus: starts a gateway, a simulator and callers, scrapes for a while, and
 * asks Prometheus what each panel and each rule asks. Needs `prometheus` (Debian: `apt-get install prometheus`).
 *
 *     npx node scripts/check-dashboards.ts --calls 50 --seconds 180
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { startGatewayProcess } from '../demo/gateway-process.ts';
import { RealtimeSimulator } from '../src/simulator/server.ts';
import { Callers, startBackend } from './dashboards/callers.ts';
import { type Panel, panelsWithQueries } from './dashboards/dashboard.ts';
import { Prometheus, type Series } from './dashboards/prometheus.ts';
import { DASHBOARDS, dashboardOf } from './make-dashboards.ts';

const SCRAPE_SECONDS = 5;
/** What Grafana would take for `$__rate_interval`: four scrapes. */
const RATE_INTERVAL = '20s';
/** How fast the lines become busy. */
const CALLS_PER_SECOND = 2;

function atLeastOne(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('not a whole number above 0');
  return value;
}

const program = new Command('check-dashboards')
  .description('Asks a real Prometheus every question of the dashboards, under simulated calls.')
  .option('--calls <number>', 'calls at once', atLeastOne, 50)
  .option('--seconds <number>', 'how long, once all lines are busy', atLeastOne, 180)
  .option('--session-workers <mode>', 'SESSION_WORKERS of the gateway', 'dedicated')
  .parse();
const options = program.opts<{ calls: number; seconds: number; sessionWorkers: string }>();

interface Answered {
  readonly panel: Panel;
  /** Series of each query; an error in Prometheus's words. */
  readonly answers: readonly (Series[] | string)[];
}

/** Whether a query's answer has at least one number in it. */
function hasData(answer: Series[] | string): boolean {
  return typeof answer !== 'string' && answer.some(({ points }) => points.some(([, value]) => Number.isFinite(value)));
}

/** A query as Grafana would send it. */
function filled(expr: string): string {
  return expr.replaceAll('$__rate_interval', RATE_INTERVAL).replaceAll('$instance', '.*');
}

function report(name: string, answered: readonly Answered[]): number {
  let failed = 0;
  for (const { panel, answers } of answered) {
    answers.forEach((answer, index) => {
      if (hasData(answer)) return;
      failed += 1;
      const why = typeof answer === 'string' ? answer : 'no data';
      process.stdout.write(`  ${name}: ${panel.title} (${panel.targets[index]!.refId}): ${why}\n`);
    });
  }
  const queries = answered.reduce((sum, { answers }) => sum + answers.length, 0);
  process.stdout.write(`${name}: ${answered.length} panels, ${queries - failed} of ${queries} queries with data\n`);
  return failed;
}

async function main(): Promise<number> {
  spawnSync(process.execPath, [fileURLToPath(new URL('build.ts', import.meta.url)), '--if-needed'], {
    stdio: 'inherit',
  });
  const folder = mkdtempSync(join(tmpdir(), 'check-dashboards-'));
  const closers: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  try {
    const simulator = await RealtimeSimulator.listen();
    closers.push(() => simulator.close());
    const backend = await startBackend();
    closers.push(() => backend.server.close());
    const gateway = await startGatewayProcess({
      OPENAI_REALTIME_URL: simulator.url,
      OPENAI_API_KEY: 'simulator',
      W3_API_URL: backend.url,
      SESSION_WORKERS: options.sessionWorkers,
      DATA_DIR: folder,
      SHUTDOWN_GRACE_MS: '0',
    });
    closers.push(() => gateway.stop());
    const prometheus = await Prometheus.start(gateway.url, SCRAPE_SECONDS);
    closers.push(() => prometheus.stop());
    const callers = new Callers({ gatewayUrl: gateway.url, simulator, calls: options.calls });
    const fromMs = Date.now();
    callers.start(CALLS_PER_SECOND);
    await sleep((options.calls / CALLS_PER_SECOND + options.seconds) * 1000);
    const toMs = Date.now();
    const step = SCRAPE_SECONDS;
    let failed = 0;
    for (const name of Object.keys(DASHBOARDS) as (keyof typeof DASHBOARDS)[]) {
      const dashboard = dashboardOf(name);
      const answered: Answered[] = [];
      for (const panel of panelsWithQueries(dashboard)) {
        const queries = panel.targets.map(({ expr }) =>
          prometheus.queryRange(filled(expr), fromMs, toMs, step).catch((error: Error): string => error.message),
        );
        answered.push({ panel, answers: await Promise.all(queries) });
      }
      failed += report(name, answered);
    }
    const rules = await prometheus.rules();
    for (const { name, type } of rules) {
      if (type !== 'recording' || hasData(await prometheus.queryRange(name, fromMs, toMs, step))) continue;
      failed += 1;
      process.stdout.write(`  record ${name}: no data\n`);
    }
    const broken = rules.filter(({ health }) => health !== 'ok');
    for (const { name, lastError } of broken) process.stdout.write(`  rule ${name}: ${lastError}\n`);
    const firing = rules.filter(({ state }) => state === 'firing' || state === 'pending').map(({ name }) => name);
    process.stdout.write(`rules: ${rules.length - broken.length} of ${rules.length} evaluated without error\n`);
    process.stdout.write(`alerts pending or firing: ${firing.join(', ') || 'none'}\n`);
    process.stdout.write(`calls begun: ${callers.started}\n`);
    for (const [message, count] of callers.failures) process.stdout.write(`  ${count} calls failed: ${message}\n`);
    const stopping = callers.stop();
    await Promise.race([stopping, sleep(60_000)]);
    return failed + broken.length;
  } finally {
    for (let close = closers.pop(); close; close = closers.pop()) await close();
  }
}

process.exit((await main()) === 0 ? 0 : 1);
