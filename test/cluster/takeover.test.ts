import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RealtimeSimulator, type SimulatorConnection } from '../../src/simulator/server.ts';
import { http, TestCall } from '../support/call.ts';
import { eventually, received, say, silence, userLine } from '../support/caller.ts';
import { type DaemonProcess, startDaemonProcess } from '../support/daemon-process.ts';
import { QUIET_PROFILE } from '../support/gateway.ts';
import { hasRedis, type RedisServer, startRedis } from './support/redis-server.ts';

/** How long a machine that is full may take for what takes a second. */
const LONG_MS = 30_000;

let redis: RedisServer;
let simulator: RealtimeSimulator;
let folder: string;
const nodes: DaemonProcess[] = [];
let calls = 0;

const start = async (index: number) => {
  nodes[index] = await startDaemonProcess({
    SESSION_WORKERS: '1',
    CLUSTER_URL: redis.url,
    CLUSTER_KEY: 'a key that the nodes share',
    OPENAI_REALTIME_URL: simulator.url,
    OPENAI_API_KEY: 'simulator',
    AGENTS_DIR: join(folder, 'agents'),
    DEFAULT_AGENT_REF: 'quiet',
    DATA_DIR: join(folder, String(index)),
    OVERLOAD_EVENT_LOOP_MS: '60000',
    SHUTDOWN_GRACE_MS: '20000',
  });
};
const at = (node: number, call: TestCall) => new TestCall(nodes[node]!.url, call.callId);

/** A call on a node, whose caller has had an answer and is listening to it. */
async function begin(node: number): Promise<{ call: TestCall; connection: SimulatorConnection }> {
  calls += 1;
  const call = new TestCall(nodes[node]!.url, `moved-${calls}`);
  const connected = simulator.waitForConnection();
  expect(await call.create()).toMatchObject({ status: 200, body: { status: 'created' } });
  const connection = await connected;
  await say(call, 'order');
  await call.pollUntil(({ lines }) => lines.length >= 2);
  expect(call.lines[0]).toBe(userLine('order'));
  return { call, connection };
}

function replayOf(connection: SimulatorConnection): string[] {
  return received(connection, 'conversation.item.create').map(({ item }) => {
    const { role, content } = item as { role: string; content: { text: string }[] };
    return `[${role === 'user' ? 'User' : 'AI'}]: ${content[0]?.text}`;
  });
}

async function metric(node: number, name: string): Promise<number> {
  const { body } = await http('GET', `${nodes[node]!.url}/metrics`);
  return Number(new RegExp(`^voice_gateway_${name} (\\S+)$`, 'm').exec(body)?.[1]);
}

describe.runIf(hasRedis)('a call', { timeout: 120_000 }, () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'voice-gateway-cluster-'));
    mkdirSync(join(folder, 'agents'));
    writeFileSync(join(folder, 'agents', 'quiet.json'), JSON.stringify(QUIET_PROFILE));
    redis = await startRedis();
    simulator = await RealtimeSimulator.listen({ responseDelayMs: 50, transcriptionDelayMs: 50, speedup: 40 });
    await Promise.all([start(0), start(1), start(2)]);
  }, 120_000);
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.end('SIGKILL')));
    await simulator.close();
    await redis.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('goes on at one of the others when its node is killed, with its conversation', async () => {
    const { call } = await begin(0);
    const generation = call.generation;
    const seq = call.seq;
    const connected = simulator.waitForConnection();
    const before = simulator.stats.connectionsTotal;
    await nodes[0]!.end('SIGKILL');
    // Both are asked at once: one of them has it.
    const [first, second] = await Promise.all([at(1, call).poll('timeout=100'), at(2, call).poll('timeout=100')]);
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(first.headers['x-call-node']).toBe(second.headers['x-call-node']);
    expect(first.body.generation).toBeGreaterThan(generation);
    // It is told what the caller said, and of the answer what was heard.
    const [question, answer = '[AI]: '] = replayOf(await connected);
    expect(question).toBe(userLine('order'));
    expect(call.lines[1]).toContain(answer);
    const elsewhere = at(1, call);
    await say(elsewhere, 'arrival');
    await elsewhere.pollUntil(({ lines }) => lines.includes(userLine('arrival')) && lines.length >= 2);
    expect(elsewhere.seq).toBeGreaterThan(seq);
    const { body } = await http('GET', `${nodes[2]!.url}/api/voice/session/${call.callId}/events`);
    expect(body.events).toContainEqual(expect.objectContaining({ type: 'taken_over', reason: 'node_died' }));
    const { summary } = (await at(2, call).end()).body;
    expect(summary.transcript[0]).toBe(userLine('order'));
    expect(summary.transcript).toContain(userLine('arrival'));
    expect(new Set(summary.transcript).size).toBe(summary.transcript.length);
    expect(simulator.stats.connectionsTotal).toBe(before + 1);
    const takeovers = await Promise.all(
      [1, 2].map((node) => metric(node, 'cluster_takeovers_total{reason="node_died"}')),
    );
    expect(takeovers[0]! + takeovers[1]!).toBe(1);
  });

  it('is let go of by a node that slept, and does it no harm', async () => {
    const { call } = await begin(1);
    const completed = await metric(1, 'sessions_total{outcome="completed"}');
    nodes[1]!.child.kill('SIGSTOP');
    const woken = at(2, call);
    await woken.poll('timeout=100');
    expect((await woken.info()).headers['x-call-node']).toBe(new URL(nodes[2]!.url).host);
    nodes[1]!.child.kill('SIGCONT');
    await eventually(async () => (await metric(1, 'cluster_calls_let_go_total{reason="taken"}')) === 1, LONG_MS);
    // What it is asked for the call it passes on, and it ended nothing.
    expect((await at(1, call).info()).headers['x-call-node']).toBe(new URL(nodes[2]!.url).host);
    await say(at(1, call), 'arrival');
    await woken.pollUntil(({ lines }) => lines.includes(userLine('arrival')));
    const { summary } = (await at(1, call).end()).body;
    expect(summary.transcript[0]).toBe(userLine('order'));
    expect(summary.transcript).toContain(userLine('arrival'));
    expect(await metric(1, 'sessions_total{outcome="completed"}')).toBe(completed);
  });

  it('goes on while Redis is away, and others begin; when it is back, empty, it knows them all', async () => {
    const { call } = await begin(1);
    await redis.stop();
    await eventually(async () => (await metric(1, 'cluster_directory_up')) === 0, LONG_MS);
    await eventually(async () => (await metric(2, 'cluster_directory_up')) === 0, LONG_MS);
    await say(at(2, call), 'arrival');
    const elsewhere = at(2, call);
    await elsewhere.pollUntil(({ lines }) => lines.includes(userLine('arrival')));
    const fresh = new TestCall(nodes[2]!.url, 'fresh');
    expect((await fresh.create()).status).toBe(200);
    expect((await at(1, fresh).info()).headers['x-call-node']).toBe(new URL(nodes[2]!.url).host);
    expect(await http('GET', `${nodes[1]!.url}/ready`)).toMatchObject({ status: 200 });
    expect(await metric(2, 'cluster_calls_unregistered')).toBe(1);
    await redis.start();
    await eventually(async () => (await metric(2, 'cluster_calls_unregistered')) === 0, LONG_MS);
    await eventually(async () => (await metric(1, 'cluster_directory_up')) === 1, LONG_MS);
    for (const node of [1, 2]) {
      const all = await http('GET', `${nodes[node]!.url}/api/voice/sessions`);
      expect(all.body.sessions.map(({ callId }: { callId: string }) => callId).sort()).toEqual(['fresh', call.callId]);
    }
    expect((await at(2, call).end()).status).toBe(200);
    expect((await at(1, fresh).end()).status).toBe(200);
  });

  it('is passed on by a node that is told to stop', async () => {
    const { call } = await begin(1);
    const listener = at(2, call);
    await listener.send(silence(100));
    const code = nodes[1]!.end('SIGTERM');
    await eventually(
      async () => (await listener.info()).headers['x-call-node'] === new URL(nodes[2]!.url).host,
      LONG_MS,
    );
    expect(await code).toBe(0);
    await say(listener, 'arrival');
    await listener.pollUntil(({ lines }) => lines.includes(userLine('arrival')));
    const { summary } = (await listener.end()).body;
    expect(summary.transcript.slice(0, 3)).toEqual([...call.lines.slice(0, 2), userLine('arrival')]);
    expect(summary.endReason).toBe('completed');
    expect(await metric(2, 'cluster_takeovers_total{reason="handed_over"}')).toBe(1);
  });
});
