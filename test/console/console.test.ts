import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readWav } from '../../src/audio/wav.ts';
import { chromiumPath, launchBrowser } from '../support/browser.ts';
import { TestCall } from '../support/call.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';

const KEY = 'the operator of the console tests';
const AUTH = { 'x-api-key': KEY };
const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/calls/${name}.wav`, import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

if (chromiumPath === undefined) {
  process.stderr.write('The console is not tried in a browser: there is no Chromium (apt-get install chromium).\n');
}

/** One gateway and one browser for all of it: what costs seconds is paid once. */
describe.skipIf(chromiumPath === undefined)('the console in a browser', () => {
  let gateway: TestGateway;
  let browser: Browser;
  let page: Page;
  /** What the page's console and its policy complained of. */
  const complaints: string[] = [];

  beforeAll(async () => {
    await build({ configFile: fileURLToPath(new URL('../../console/vite.config.ts', import.meta.url)) });
    gateway = await startGateway({ env: { W3_VOICE_GATEWAY_API_KEY: KEY } });
    browser = await launchBrowser(fixture('interrupter-greeting-16k'));
    page = await (await browser.newContext({ reducedMotion: 'reduce' })).newPage();
    page.setDefaultTimeout(25_000);
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().includes('status of 401')) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
  });

  afterAll(async () => {
    await browser?.close();
    await gateway?.stop();
  });

  afterEach(() => expect(complaints.splice(0)).toEqual([]));

  const open = (where: string, on = page) => on.goto(`${gateway.url}/console/#/${where}`);

  /** What axe finds wrong with the page as it stands. */
  async function violations(): Promise<string[]> {
    await page.evaluate(AXE);
    return page.evaluate(async () => {
      const { violations: found } = await (
        globalThis as unknown as {
          axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
        }
      ).axe.run();
      return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
    });
  }

  it('asks for a key, refuses a wrong one, and takes the right one', async () => {
    await open('');
    await page.getByLabel('API key').fill('a guess');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').filter({ hasText: 'key' }).waitFor();
    expect(await violations()).toEqual([]);
    await page.getByLabel('API key').fill(KEY);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Calls', level: 1 }).waitFor();
    await page.getByText('No calls at the moment.').waitFor();
    const cookies = await page.context().cookies();
    expect(cookies).toMatchObject([{ httpOnly: true, sameSite: 'Strict' }]);
    complaints.length = 0;
  });

  it('shows a call come, what is said on it while it is said, and go, when it is ended there', async () => {
    const call = new TestCall(gateway.url, 'watched', AUTH);
    await call.create({ callerNumber: '393297626144' });
    const row = page.getByRole('row', { name: /…44/ });
    await row.waitFor();
    expect(await violations()).toEqual([]);
    await row.getByRole('link').click();
    await page.getByRole('heading', { name: 'Call watched' }).waitFor();
    const question = readWav(readFileSync(fixture('order-status-16k'))).samples;
    const spoken = question.subarray(3.9 * 16_000, 7.5 * 16_000);
    await call.send(Buffer.from(spoken.buffer, spoken.byteOffset, spoken.byteLength));
    const answered = call.pollUntil(({ lines }) => lines.some((line) => line.includes('left our warehouse')));
    const log = page.getByRole('log');
    await log.getByText('Hello, where is my order four seven one one?').waitFor();
    await answered;
    await page.getByText(/the caller spoke for .*, answered in/).waitFor();
    expect(await violations()).toEqual([]);
    const link = page.url();
    await open('');
    await row.getByRole('button', { name: /End the call/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'End the call' }).click();
    await page.getByText('No calls at the moment.').waitFor();
    // The link that was sent to a colleague leads to what became of the call.
    await page.goto(link);
    await page.getByText('caller hung up').first().waitFor();
    await page.getByText('Hello, where is my order four seven one one?').waitFor();
  });

  it('finds an old call by its words and by its number, with the keyboard alone', async () => {
    await open('history');
    await page.getByRole('link', { name: '…44' }).waitFor();
    expect(await violations()).toEqual([]);
    await page.keyboard.press('Tab');
    while (!(await page.evaluate<boolean>('document.activeElement.matches("input[name=q]")')))
      await page.keyboard.press('Tab');
    await page.keyboard.type('four seven one one');
    await page.keyboard.press('Enter');
    await page.waitForURL(/q=four/);
    await page.getByText('1 call', { exact: false }).first().waitFor();
    await page.getByLabel('Words, last digits, or call').fill('zebra');
    await page.keyboard.press('Enter');
    await page.getByText('No call is like that.').waitFor();
    await page.getByLabel('Words, last digits, or call').fill('6144');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: '…44' }).waitFor();
    await page.getByRole('link', { name: '…44' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Call watched' }).waitFor();
  });

  it('is a telephone: the agent is heard, interrupted and answers, and the call can be saved', async () => {
    await open('talk');
    expect(await violations()).toEqual([]);
    await page.getByRole('button', { name: 'Call with the microphone' }).click();
    await page.getByText('Connected: speak.').waitFor();
    await page.getByText('Stop, stop. Give me a human being please.').waitFor();
    // What of the greeting was not heard any more.
    await page.locator('.agent del', { hasText: 'not heard' }).waitFor();
    await page.getByText('The call is over: transferred.').waitFor();
    await page.getByText(/^interrupted: silent after/).waitFor();
    await page
      .getByText(/^answered in/)
      .first()
      .waitFor();
    expect(await violations()).toEqual([]);
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Save the recording' }).click(),
    ]);
    const recording = readFileSync(await download.path());
    const { caller, agent } = sidesOf(recording);
    // The caller's first words, and the end of what the agent said to them.
    expect(loudest(caller)).toBeGreaterThan(3_000);
    expect(loudest(agent.subarray(0, 16_000))).toBeGreaterThan(3_000);
    expect(loudest(agent.subarray(agent.length / 2))).toBeGreaterThan(3_000);
  });

  it('fits on a telephone, in the dark, and says how the gateway does', async () => {
    await page.setViewportSize({ width: 360, height: 640 });
    await page.emulateMedia({ colorScheme: 'dark' });
    for (const where of ['', 'history', 'talk', 'health']) {
      await open(where);
      await page.getByRole('heading', { level: 1 }).waitFor();
      if (where === 'health') await page.getByRole('link', { name: 'customer-care-voice' }).waitFor();
      const [needed, there] = await page.evaluate<number[]>('[document.documentElement.scrollWidth, innerWidth]');
      expect(needed, where).toBeLessThanOrEqual(there!);
      expect(await violations(), where).toEqual([]);
    }
  });

  it('is of no use to a page elsewhere, and after signing out to nobody', async () => {
    const answer = await fetch(`${gateway.url}/api/voice/calls`, {
      headers: { origin: 'http://evil.example', cookie: await cookieHeader() },
    });
    expect(answer.status).toBe(403);
    await page.setViewportSize({ width: 1280, height: 720 });
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('API key').waitFor();
    await open('history');
    await page.getByLabel('API key').waitFor();
    expect((await fetch(`${gateway.url}/api/voice/calls`)).status).toBe(401);
    complaints.length = 0;
  });

  async function cookieHeader(): Promise<string> {
    return (await page.context().cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  }
});

/** Left and right of a 16-bit stereo WAV file with the usual header. */
function sidesOf(wav: Buffer): { caller: Int16Array; agent: Int16Array } {
  const samples = new Int16Array(wav.buffer.slice(wav.byteOffset + 44, wav.byteOffset + wav.length));
  return { caller: samples.filter((_, i) => i % 2 === 0), agent: samples.filter((_, i) => i % 2 === 1) };
}

function loudest(samples: Int16Array): number {
  return samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
}
