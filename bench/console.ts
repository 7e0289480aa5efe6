/**
 * What the console costs with many calls in it: the browser's share of a core, the gateway's, and how late it shows what
 * changes. Rounds with and without the page alternate, so whatever else the machine does falls on both.
 *
 *     npm run bench:console -- --calls 300
 *
 * Needs Chromium (Debian: `apt-get install chromium`). Three minutes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import type { Page } from 'playwright-core';
import { buildIfNeeded, startStack } from '../loadtest/stack.ts';
import { launchBrowser } from '../test/support/browser.ts';
import { LightCallers } from './support/light-callers.ts';
import { cpuSecondsOf } from './support/process-tree.ts';

const CALLS_PER_SECOND = 15;
/** Greetings are over, code is warm. */
const SETTLE_MS = 15_000;
/** Calls that come and go to be looked for. */
const PROBES = 10;
const PROBE_DEADLINE_MS = 10_000;

function atLeastOne(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('not a whole number above 0');
  return value;
}

const options = new Command('bench:console')
  .description('What the console costs, and how late it is.')
  .option('--calls <number>', 'calls at once', atLeastOne, 300)
  .option('--seconds <number>', 'measured at a time', atLeastOne, 20)
  .option('--rounds <number>', 'with and without the page', atLeastOne, 2)
  .parse()
  .opts<{ calls: number; seconds: number; rounds: number }>();

interface Measured {
  readonly gateway: number;
  readonly browser: number;
}

buildIfNeeded();
// Callers, simulator and browser share the machine with the gateway: being late is no overload here.
process.env['OVERLOAD_EVENT_LOOP_MS'] = '60000';
const stack = await startStack({
  simulatorMode: 'scripted',
  deltaMs: 200,
  sessionWorkers: 2,
  audioThreads: undefined,
  calls: options.calls,
  tls: false,
  nodeArgs: [],
});
const browser = await launchBrowser();
const callers = new LightCallers(stack.gateway.url, stack.apiKey);
try {
  await callers.start(options.calls, CALLS_PER_SECOND);
  await sleep(SETTLE_MS);
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
  await page.goto(`${stack.gateway.url}/console/`);
  await page.getByLabel('API key').fill(stack.apiKey);
  await page.keyboard.press('Enter');
  const withPage: Measured[] = [];
  const without: Measured[] = [];
  for (let round = 0; round < options.rounds; round++) {
    await page.goto(`${stack.gateway.url}/console/`);
    await allShown(page);
    await sleep(3_000);
    withPage.push(await measure());
    await page.goto('about:blank');
    await sleep(3_000);
    without.push(await measure());
  }
  const of = (all: readonly Measured[], what: keyof Measured) =>
    (all.reduce((sum, one) => sum + one[what], 0) / all.length) * 100;
  const percent = (value: number) => `${value.toFixed(1)} %`;
  const gateway = of(without, 'gateway');
  const more = of(withPage, 'gateway') - gateway;
  process.stdout.write(
    [
      `${options.calls} calls, ${options.rounds} × ${options.seconds} s with the page and without it; shares of one core`,
      `Chromium, all its processes   ${percent(of(withPage, 'browser'))}, without the page ${percent(of(without, 'browser'))}`,
      `the gateway                   ${percent(gateway + more)}, without the page ${percent(gateway)}: ${percent((more / gateway) * 100)} of its CPU`,
      ...(callers.failures > 0 ? [`${callers.failures} callers gave up: this run says little`] : []),
      '',
    ].join('\n'),
  );
  await page.goto(`${stack.gateway.url}/console/`);
  await allShown(page);
  const delays = await delaysOf(page);
  process.stdout.write(
    `a call shown, or gone         after ${delays.map((ms) => Math.round(ms)).join(', ')} ms; at most ${Math.round(Math.max(...delays))} ms\n`,
  );
} finally {
  await callers.stop();
  await browser.close();
  await stack.stop();
}

/** Scripts of a page may not be made from text, so nothing is asked of it that way. */
async function allShown(page: Page): Promise<void> {
  await page
    .locator('tbody tr')
    .nth(options.calls - 1)
    .waitFor({ state: 'attached' });
}

async function measure(): Promise<Measured> {
  const look = () => ({
    atMs: performance.now(),
    gateway: cpuSecondsOf(stack.gateway.pid),
    browser: cpuSecondsOf(process.pid, 'chrom'),
  });
  const before = look();
  await sleep(options.seconds * 1000);
  const after = look();
  const seconds = (after.atMs - before.atMs) / 1000;
  return {
    gateway: (after.gateway - before.gateway) / seconds,
    browser: (after.browser - before.browser) / seconds,
  };
}

/** How long it takes until the page shows that a call has come, or gone. */
async function delaysOf(page: Page): Promise<number[]> {
  const delays: number[] = [];
  const seen = async (isThere: boolean, act: () => Promise<void>) => {
    const startedAtMs = performance.now();
    await act();
    const row = page.locator('tbody').getByText('probe-');
    await row.waitFor({ state: isThere ? 'attached' : 'detached', timeout: PROBE_DEADLINE_MS });
    delays.push(performance.now() - startedAtMs);
  };
  for (let i = 0; i < PROBES; i++) {
    await seen(true, () => callers.create(`probe-${i}`));
    await seen(false, () => callers.end(`probe-${i}`));
    await sleep(137);
  }
  return delays;
}
