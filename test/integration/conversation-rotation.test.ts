import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import type { SimulatorConnection } from '../../src/simulator/server.ts';
import { http, TestCall } from '../support/call.ts';
import { aiLine, eventually, lineBytes, played, received, say, send, silence, userLine } from '../support/caller.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

/** Sessions in these tests last seconds. */
const SHORT_LIVED = { shortestLifeMs: 0, rotateFloorMs: 0 };

const CALLS = 200;
const CONNECTS_PER_SECOND = 100;

let gateway: TestGateway;
afterEach(() => gateway.stop());

async function eventsOf(call: TestCall): Promise<{ type: string }[]> {
  return (await http('GET', `${gateway.url}/api/voice/session/${call.callId}/events`)).body.events;
}

function count(metrics: string, series: string): number {
  return Number(new RegExp(`^voice_gateway_${series} (\\d+)$`, 'm').exec(metrics)?.[1] ?? 0);
}

describe('an upstream session that is about to expire', () => {
  it('is moved in a pause, and the client notices nothing', async () => {
    gateway = await startGateway({
      env: { SESSION_WORKERS: '1' },
      profiles: { quiet: QUIET_PROFILE },
      overrides: { reconnect: SHORT_LIVED },
    });
    const call = new TestCall(gateway.url, 'rotating');
    gateway.simulator.nextConnection({ sessionDurationMs: 5_000 });
    await call.create({ aiAgentRef: 'quiet' });
    const [first] = gateway.simulator.connections as [SimulatorConnection];
    const closed = new Promise<number>((resolve) => first.once('close', resolve));
    const again = gateway.simulator.waitForConnection();

    await say(call, 'returns');
    await call.pollUntil(({ lines }) => lines.length >= 2);
    await played(call);
    await say(call, 'arrival');
    const second = await again;
    // The old connection is left in good order, after the new one was told everything.
    expect(await closed).toBe(1000);
    await eventually(() => received(second, 'conversation.item.create').length === 4);
    await call.pollUntil(({ lines }) => lines.length >= 4);
    await played(call);
    await say(call, 'order');
    await call.pollUntil(({ lines }) => lines.length >= 6);

    expect(call.lines).toEqual([
      userLine('returns'),
      aiLine('long-explanation'),
      userLine('arrival'),
      aiLine('order-eta'),
      userLine('order'),
      aiLine('order-status'),
    ]);
    // Every reply came whole, and once.
    expect(call.generation).toBe(0);
    const lines = ['long-explanation', 'order-eta', 'order-status'] as const;
    expect(call.heardBytes.get(0)).toBe(lines.reduce((sum, line) => sum + lineBytes(line), 0));
    const types = (await eventsOf(call)).map(({ type }) => type);
    expect(types).toContain('rotated');
    expect(types).not.toContain('upstream_lost');
    expect(received(second, 'response.create')).toEqual([]);
    expect(gateway.simulator.stats.errors).toEqual({});
    const { summary } = (await call.end()).body;
    expect(summary.transcript).toEqual(call.lines);
  });

  it('that finds no pause is moved while the agent speaks, who goes on with what is left', async () => {
    gateway = await startGateway({
      env: { SESSION_WORKERS: '1' },
      // Slower than speech: the reply is still being generated when the session ends.
      simulator: { speedup: 0.9 },
      profiles: { quiet: QUIET_PROFILE },
      overrides: { reconnect: SHORT_LIVED },
    });
    const call = new TestCall(gateway.url, 'rotating-in-speech');
    gateway.simulator.nextConnection({ sessionDurationMs: 8_000 });
    await call.create({ aiAgentRef: 'quiet' });
    const again = gateway.simulator.waitForConnection();
    await say(call, 'returns');
    const second = await again;
    await call.pollUntil(({ lines }) => lines.length >= 2);
    expect(call.lines[0]).toBe(userLine('returns'));
    expect(aiLine('long-explanation').startsWith(call.lines[1]!)).toBe(true);
    await eventually(() => received(second, 'response.create').length > 0);
    expect(JSON.stringify(received(second, 'response.create'))).toContain('do not repeat');
    const types = (await eventsOf(call)).map(({ type }) => type);
    expect(types).toContain('rotated');
    expect(types).not.toContain('upstream_lost');
  });
});

describe('an upstream whose expires_at cannot be true', () => {
  it.each([
    ['zero', {}, 0],
    ['in the past', {}, Date.now() / 1000 - 3600],
    ['no number', {}, 'soon'],
    ['null', {}, null],
    ['now, by a clock of ours that is an hour ahead', { noDate: true }, Date.now() / 1000],
  ])('has nobody move: %s', async (_name, faults, expiresAt) => {
    const lines: { msg: string; expiresAt?: string }[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) });
    gateway = await startGateway({ env: { SESSION_WORKERS: '1' }, profiles: { quiet: QUIET_PROFILE }, log });
    gateway.simulator.setDefaultFaults({ ...faults, expiresAt });
    const call = new TestCall(gateway.url, 'odd-expiry');
    await call.create({ aiAgentRef: 'quiet' });
    for (const utterance of ['arrival', 'order'] as const) {
      await say(call, utterance);
      await call.pollUntil(({ lines: said }) => said.length % 2 === 0 && said.includes(userLine(utterance)));
      await played(call);
      // Whatever is said a second time is not told again.
      if (utterance === 'order') break;
      const again = gateway.simulator.waitForConnection();
      gateway.simulator.connections[0]!.drop();
      await again;
    }
    expect(call.lines).toEqual([userLine('arrival'), aiLine('order-eta'), userLine('order'), aiLine('order-status')]);
    expect(gateway.simulator.stats.connectionsTotal).toBe(2);
    const warnings = lines.filter(({ msg }) => msg.includes('expires_at'));
    expect(warnings.map(({ expiresAt: told }) => told)).toEqual(expiresAt === null ? [] : [JSON.stringify(expiresAt)]);
    const types = (await eventsOf(call)).map(({ type }) => type);
    expect(types.filter((type) => type === 'expiry_ignored')).toHaveLength(warnings.length);
  });

  it('in the next minute, again and again, has a call move once', async () => {
    gateway = await startGateway({
      env: { SESSION_WORKERS: '1' },
      profiles: { quiet: QUIET_PROFILE },
      // Sessions of seconds are believed here: the floor alone holds the call back.
      overrides: { reconnect: { shortestLifeMs: 0 } },
    });
    gateway.simulator.setDefaultFaults({ noDate: true, expiresAt: Date.now() / 1000 + 3 });
    const call = new TestCall(gateway.url, 'floor');
    await call.create({ aiAgentRef: 'quiet' });
    await eventually(async () => (await eventsOf(call)).some(({ type }) => type === 'rotated'));
    // Longer than the session that it moved to seemed to have.
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    expect(gateway.simulator.stats.connectionsTotal).toBe(2);
  });
});

describe(`${CALLS} calls that lose their connections at once`, () => {
  it('come back one after the other, no faster than the limit, and go on', async () => {
    gateway = await startGateway({
      env: { SESSION_WORKERS: '2' },
      profiles: { quiet: QUIET_PROFILE },
      overrides: { connectsPerSecond: CONNECTS_PER_SECOND, reconnect: { firstBackoffMs: 1 } },
    });
    const calls = Array.from({ length: CALLS }, (_, index) => new TestCall(gateway.url, `storm-${index}`));
    await Promise.all(calls.map((call) => call.create({ aiAgentRef: 'quiet' })));
    const [talker] = calls as [TestCall];
    await say(talker, 'arrival');
    await talker.pollUntil(({ lines }) => lines.length >= 2);
    await played(talker);

    const lostAtMs = Date.now();
    for (const connection of gateway.simulator.connections) connection.drop();
    await eventually(async () => {
      const { body } = await http('GET', `${gateway.url}/metrics`);
      return count(body, 'upstream_reconnects_total{reason="lost"}') === CALLS;
    });
    // Permits are this far apart, however fast everything else is.
    expect(Date.now() - lostAtMs).toBeGreaterThanOrEqual(((CALLS - 1) * 1000) / CONNECTS_PER_SECOND - 20);
    expect(gateway.simulator.stats).toMatchObject({ connectionsTotal: 2 * CALLS, connectionsOpen: CALLS, errors: {} });
    await say(talker, 'order');
    await talker.pollUntil(({ lines }) => lines.length >= 4);
    expect(talker.lines).toEqual([userLine('arrival'), aiLine('order-eta'), userLine('order'), aiLine('order-status')]);
    const last = calls.at(-1)!;
    await send(last, silence(100));
    expect((await eventsOf(last)).map(({ type }) => type)).toEqual(
      expect.arrayContaining(['upstream_lost', 'upstream_restored']),
    );
  });
});
