import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { monotonicNowMs } from '../../src/clock.ts';
import { RealtimeSimulator, type SimulatorConnection } from '../../src/simulator/server.ts';
import { http, TestCall } from '../support/call.ts';
import { aiLine, type manifest, say, type Utterance, userLine } from '../support/caller.ts';
import { type DaemonProcess, startDaemonProcess } from '../support/daemon-process.ts';
import { QUIET_PROFILE } from '../support/gateway.ts';

const CALLS = 20;
const DROPPED = 5;
const HOUR_MS = 3_600_000;
/** Far more than anything takes here, and far less than a step: a second, where the machine has time. */
const PROMPT_MS = 15_000;

interface Event {
  readonly type: string;
  readonly outageMs?: number;
  readonly turnMs?: number;
}

let folder: string;
let simulator: RealtimeSimulator;
let daemon: DaemonProcess | undefined;
const calls: { readonly call: TestCall; readonly createdAtMs: number; connection: SimulatorConnection }[] = [];
let connectionsExpected = 0;
/** How far the daemon's wall clock is ahead. */
let aheadMs = 0;

/** Sets the daemon's wall clock, and leaves its threads the time to notice. */
async function stepTo(ms: number): Promise<void> {
  aheadMs = ms;
  const path = join(folder, 'wall-clock');
  writeFileSync(`${path}.new`, String(ms));
  renameSync(`${path}.new`, path);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
}

async function create(name: string): Promise<void> {
  const call = new TestCall(daemon!.url, name);
  const createdAtMs = monotonicNowMs();
  const connected = simulator.waitForConnection();
  expect(await call.create({ aiAgentRef: 'quiet' })).toMatchObject({ status: 200 });
  calls.push({ call, createdAtMs, connection: await connected });
  connectionsExpected += 1;
  const { createdAt } = (await call.info()).body;
  expect(Math.abs(Date.parse(createdAt) - Date.now() - aheadMs)).toBeLessThan(HOUR_MS / 2);
}

async function talk(utterance: Utterance, answer: keyof typeof manifest.agentLines): Promise<void> {
  await Promise.all(
    calls.map(async ({ call }) => {
      const before = call.lines.length;
      await say(call, utterance);
      await call.pollUntil(({ lines }) => lines.length >= before + 2);
      expect(call.lines.slice(before)).toEqual([userLine(utterance), aiLine(answer as string)]);
    }),
  );
}

async function loseSome(from: number): Promise<void> {
  for (const entry of calls.slice(from, from + DROPPED)) {
    const again = simulator.waitForConnection();
    entry.connection.drop();
    entry.connection = await again;
    connectionsExpected += 1;
  }
}

async function eventsOf(call: TestCall): Promise<Event[]> {
  return (await http('GET', `${daemon?.url}/api/voice/session/${call.callId}/events`)).body.events;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'voice-gateway-'));
  simulator = await RealtimeSimulator.listen({ responseDelayMs: 20, transcriptionDelayMs: 20, speedup: 40 });
  // Nobody tells the daemon the time: all it knows of the sessions' end is by its own wall clock.
  simulator.setDefaultFaults({ noDate: true });
  writeFileSync(join(folder, 'quiet.json'), JSON.stringify(QUIET_PROFILE));
  daemon = await startDaemonProcess(
    {
      OPENAI_REALTIME_URL: simulator.url,
      OPENAI_API_KEY: 'test-key-of-the-simulator',
      AGENTS_DIR: folder,
      DEFAULT_AGENT_REF: 'quiet',
      DATA_DIR: join(folder, 'data'),
      SESSION_WORKERS: '2',
      OVERLOAD_EVENT_LOOP_MS: '60000',
      WALL_CLOCK_FILE: join(folder, 'wall-clock'),
    },
    { nodeArgs: ['--import', fileURLToPath(new URL('../support/stepped-wall-clock.ts', import.meta.url))] },
  );
});
afterAll(async () => {
  await daemon?.end('SIGKILL');
  await simulator.close();
  rmSync(folder, { recursive: true, force: true });
});

describe(`${CALLS} calls under a wall clock that steps an hour either way`, () => {
  it('go on as if nothing had happened', async () => {
    for (let i = 0; i < CALLS; i++) await create(`stepped-${i}`);
    await talk('arrival', 'order-eta');

    await stepTo(HOUR_MS);
    await talk('order', 'order-status');
    await loseSome(0);
    await create('created-ahead');
    await talk('arrival', 'order-eta');

    await stepTo(-HOUR_MS);
    await talk('order', 'order-status');
    await loseSome(DROPPED);
    await create('created-behind');
    await talk('arrival', 'order-eta');

    // No connection was lost or made but those above.
    expect(simulator.stats).toMatchObject({ connectionsTotal: connectionsExpected, connectionsOpen: calls.length });
    const outages: number[] = [];
    /** The longest answering time of each turn over all calls: the first one was before the steps. */
    const turns: number[] = [];
    for (const [index, { call, createdAtMs }] of calls.entries()) {
      const events = await eventsOf(call);
      const types = events.map(({ type }) => type);
      expect(types.filter((type) => type === 'upstream_lost')).toHaveLength(index < 2 * DROPPED ? 1 : 0);
      for (const type of ['rotated', 'upstream_failed', 'chunks_missing']) expect(types).not.toContain(type);
      for (const { outageMs } of events) if (outageMs !== undefined) outages.push(Math.round(outageMs));
      const answered = events.flatMap(({ turnMs }) => turnMs ?? []);
      for (const [turn, turnMs] of answered.entries()) turns[turn] = Math.max(turns[turn] ?? 0, turnMs);
      const lastedAtLeastMs = (events.at(-1) as unknown as { atMs: number }).atMs;
      const { status, body } = await call.end();
      expect(status).toBe(200);
      expect(body.summary.endReason).toBe('completed');
      expect(body.summary.duration).toBeGreaterThanOrEqual(Math.floor(lastedAtLeastMs));
      expect(body.summary.duration).toBeLessThanOrEqual(Math.ceil(monotonicNowMs() - createdAtMs));
    }
    expect(outages).toHaveLength(2 * DROPPED);
    expect(Math.max(...outages, ...turns)).toBeLessThan(PROMPT_MS);
    if (process.env['TEST_LOG_LEVEL'] !== undefined) console.log({ longestTurnsMs: turns, outagesMs: outages });
  });
});
