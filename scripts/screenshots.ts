/**
 * Takes the pictures of the console that the documentation shows: a gateway, a simulator and callers are started, and a
 * real browser looks at them. Needs Chromium (Debian: `apt-get install chromium`); takes two minutes.
 *
 *     npm run screenshots
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { startGatewayProcess } from '../demo/gateway-process.ts';
import { RealtimeSimulator } from '../src/simulator/server.ts';
import { launchBrowser } from '../test/support/browser.ts';
import { Callers } from './dashboards/callers.ts';

const FOLDER = fileURLToPath(new URL('../docs/images/', import.meta.url));
const MICROPHONE = fileURLToPath(new URL('../fixtures/calls/interrupter-16k.wav', import.meta.url));
const CALLS = 14;
/** Until some calls are over and others are in the middle. */
const BUSY_MS = 75_000;
/** The caller has asked, has interrupted the answer, and is being transferred. */
const TALK_MS = 13_500;

const folder = mkdtempSync(join(tmpdir(), 'voice-gateway-pictures-'));
const closers: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
try {
  const simulator = await RealtimeSimulator.listen();
  closers.push(() => simulator.close());
  const gateway = await startGatewayProcess({
    OPENAI_REALTIME_URL: simulator.url,
    OPENAI_API_KEY: 'simulator',
    W3_API_URL: '',
    DATA_DIR: folder,
    SHUTDOWN_GRACE_MS: '0',
  });
  closers.push(() => gateway.stop());
  const callers = new Callers({ gatewayUrl: gateway.url, simulator, calls: CALLS });
  callers.start(1);
  const browser = await launchBrowser(MICROPHONE);
  closers.push(() => browser.close());
  await sleep(BUSY_MS);
  const page = await (await browser.newContext({ viewport: { width: 1200, height: 760 } })).newPage();
  mkdirSync(FOLDER, { recursive: true });
  const open = async (where: string) => {
    await page.goto(`${gateway.url}/console/#/${where}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
  };
  await open('');
  await page.locator('tbody tr').first().waitFor();
  await sleep(3_000);
  await picture(page, 'calls');
  await page.locator('tbody tr th a').nth(1).click();
  await page.locator('.conversation li').nth(3).waitFor();
  await sleep(1_000);
  await picture(page, 'call');
  await open('history');
  await page.locator('tbody tr').first().waitFor();
  await picture(page, 'history');
  await open('health');
  await sleep(12_000);
  await picture(page, 'health');
  await open('talk');
  await page.getByRole('button', { name: 'Call with the microphone' }).click();
  await sleep(TALK_MS);
  await picture(page, 'talk');
  await page.getByRole('button', { name: 'Hang up' }).click();
  await page.setViewportSize({ width: 360, height: 640 });
  await page.emulateMedia({ colorScheme: 'dark' });
  await open('');
  await page.locator('tbody tr').first().waitFor();
  await sleep(1_000);
  await picture(page, 'telephone');
  await Promise.race([callers.stop(), sleep(20_000)]);
} finally {
  for (let close = closers.pop(); close; close = closers.pop()) await close();
}
process.exit(0);

async function picture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(FOLDER, `console-${name}.png`) });
  process.stdout.write(`docs/images/console-${name}.png\n`);
}
