import { afterEach, describe, expect, it } from 'vitest';
import { http, TestCall } from '../support/call.ts';
import {
  aiLine,
  deliveredMs,
  eventually,
  manifest,
  nextEvent,
  played,
  received,
  say,
  userLine,
} from '../support/caller.ts';
import { QUIET_PROFILE, startGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts';
import { terminateWorkerOf } from '../support/worker-threads.ts';

let gateway: TestGateway;
afterEach(() => gateway.stop());

async function start(sessionWorkers: string, options: TestGatewayOptions = {}): Promise<void> {
  gateway = await startGateway({
    env: { SESSION_WORKERS: sessionWorkers },
    profiles: {
      quiet: QUIET_PROFILE,
      fallback: { ...QUIET_PROFILE, transferExtensions: ['200'], fallbackExtension: '200' },
    },
    ...options,
  });
}

/** A call that has had its first turn. */
async function begin(callId: string, aiAgentRef = 'quiet'): Promise<TestCall> {
  const call = new TestCall(gateway.url, callId);
  await call.create({ aiAgentRef });
  await say(call, 'arrival');
  await call.pollUntil(({ lines }) => lines.length >= 2);
  await played(call);
  return call;
}

describe('a session worker that dies', () => {
  it('ends the call it was dedicated to, which is told so, and touches no other', async () => {
    await start('dedicated');
    const [doomed, other] = [await begin('doomed', 'fallback'), await begin('other')];
    // A poll that waits learns of it at once: nothing else would end it within the test's time.
    const waiting = doomed.poll('timeout=60000');
    expect(await terminateWorkerOf(gateway, 'doomed')).toBe(true);
    expect((await waiting).body).toMatchObject({ actions: [{ type: 'transfer', extension: '200' }], hasMore: true });
    expect((await doomed.poll()).body).toMatchObject({
      hasMore: false,
      endReason: 'upstream_failed',
      error: expect.stringMatching(/worker/),
    });
    expect((await doomed.end()).body.summary).toMatchObject({
      endReason: 'upstream_failed',
      transcript: [userLine('arrival'), aiLine('order-eta')],
    });
    await say(other, 'order');
    await other.pollUntil(({ lines }) => lines.length >= 4);
    expect(other.lines.slice(2)).toEqual([userLine('order'), aiLine('order-status')]);
    // There is a worker for the next call.
    expect((await begin('next')).lines).toEqual([userLine('arrival'), aiLine('order-eta')]);
  });

  it('hands its calls to another where workers are shared, with their history', async () => {
    await start('2');
    const calls = [await begin('a'), await begin('b'), await begin('c'), await begin('d')];
    await terminateWorkerOf(gateway, 'a');
    await eventually(async () => {
      const { body } = await http('GET', `${gateway.url}/metrics`);
      return /upstream_reconnects_total\{reason="worker_lost"\} 2\b/.test(body);
    });
    for (const call of calls) {
      await say(call, 'order');
      await call.pollUntil(({ lines }) => lines.length >= 4);
      expect(call.lines).toEqual([userLine('arrival'), aiLine('order-eta'), userLine('order'), aiLine('order-status')]);
      expect((await call.end()).body.summary.transcript).toEqual(call.lines);
    }
    expect(gateway.simulator.stats.connectionsTotal).toBe(6);
    expect(gateway.simulator.stats.errors).toEqual({});
  });

  it('leaves what it had said playing, which the caller can interrupt', async () => {
    await start('1', { simulator: { responseDelayMs: 20, speedup: Number.POSITIVE_INFINITY } });
    const call = await begin('speaking');
    await say(call, 'returns');
    await call.pollUntil(({ lines }) => lines.length >= 4);
    await played(call, manifest.agentLines['order-eta']!.durationMs + 2_000);
    const again = gateway.simulator.waitForConnection();
    await terminateWorkerOf(gateway, 'speaking');
    const connection = await again;
    await eventually(() => received(connection, 'conversation.item.create').length === 4);
    await say(call, 'order');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-status')));
    expect(call.generation).toBe(1);
    const { transcript } = (await call.end()).body.summary;
    expect(transcript).toHaveLength(6);
    expect(aiLine('long-explanation').startsWith(transcript[3])).toBe(true);
    expect(transcript[3].length).toBeLessThan(aiLine('long-explanation').length);
    expect(transcript.slice(4)).toEqual([userLine('order'), aiLine('order-status')]);
    // The upstream was told the line as text, whole: it is replaced by what was heard.
    expect(received(connection, 'conversation.item.delete')).toHaveLength(1);
    const known = connection.items.map((item) => JSON.stringify(item)).join();
    expect(known).toContain(transcript[3].slice('[AI]: '.length));
    expect(known).not.toContain(manifest.agentLines['long-explanation']!.text);
    expect(gateway.simulator.stats.errors).toEqual({});
  });

  it('in the middle of a reply has another go on with it, and what was said stands', async () => {
    // Little faster than speech: the reply is being generated for as long as the test needs.
    await start('1', { simulator: { responseDelayMs: 20, speedup: 1.2 } });
    const call = new TestCall(gateway.url, 'in-mid-sentence');
    await call.create({ aiAgentRef: 'quiet' });
    await say(call, 'returns');
    await call.pollUntil((poller) => deliveredMs(poller) > 2_000);
    const again = gateway.simulator.waitForConnection();
    await terminateWorkerOf(gateway, call.callId);
    const connection = await again;
    const asked = nextEvent(connection, 'clientEvent', 'response.create');
    await call.pollUntil(({ lines }) => lines.length >= 2);
    const [question, part] = call.lines;
    expect(question).toBe(userLine('returns'));
    expect(aiLine('long-explanation').startsWith(part!)).toBe(true);
    expect(part!.length).toBeGreaterThan('[AI]: '.length);
    expect(part!.length).toBeLessThan(aiLine('long-explanation').length);
    // The new connection knows both, and is asked to go on.
    expect(JSON.stringify(await asked)).toContain('do not repeat');
    const told = JSON.stringify(received(connection, 'conversation.item.create'));
    expect(told).toContain(part!.slice('[AI]: '.length));
    await call.pollUntil(({ lines }) => lines.length >= 3);
    expect(received(connection, 'response.create')).toHaveLength(1);
    expect(call.generation).toBe(0);
    expect((await call.end()).body.summary.transcript).toEqual(call.lines);
  });

  it('while it greets has another finish the greeting', async () => {
    await start('1', {
      simulator: { responseDelayMs: 20, speedup: 1.2 },
      profiles: { greeting: { ...QUIET_PROFILE, greeting: { say: manifest.agentLines['greeting']!.text } } },
    });
    const call = new TestCall(gateway.url, 'greeting');
    await call.create({ aiAgentRef: 'greeting' });
    await call.pollUntil((poller) => deliveredMs(poller) > 1_000);
    const again = gateway.simulator.waitForConnection();
    await terminateWorkerOf(gateway, call.callId);
    const asked = nextEvent(await again, 'clientEvent', 'response.create');
    const request = JSON.stringify(await asked);
    expect(request).toContain('do not repeat');
    expect(request).toContain(manifest.agentLines['greeting']!.text);
    await call.pollUntil(({ lines }) => lines.length >= 2);
    expect(aiLine('greeting').startsWith(call.lines[0]!)).toBe(true);
  });

  it('while it takes over a call leaves it to yet another', async () => {
    await start('1');
    const call = await begin('twice');
    const terminate = () => terminateWorkerOf(gateway, call.callId);
    // Read when the upgrade comes in: the second worker waits for its answer.
    const connecting = new Promise<void>((resolve) => {
      gateway.simulator.nextConnection({
        get handshakeDelayMs() {
          resolve();
          return 30_000;
        },
      });
    });
    await terminate();
    await connecting;
    const again = gateway.simulator.waitForConnection();
    expect(await terminate()).toBe(true);
    const connection = await again;
    await eventually(() => received(connection, 'conversation.item.create').length === 2);
    await say(call, 'order');
    await call.pollUntil(({ lines }) => lines.length >= 4);
    expect(call.lines.slice(2)).toEqual([userLine('order'), aiLine('order-status')]);
    expect((await call.end()).body.summary).toMatchObject({ transcript: call.lines, endReason: 'completed' });
  });

  it('again and again may do so because of the call, which is sent to its fallback', async () => {
    await start('1');
    const call = await begin('deadly', 'fallback');
    for (let losses = 1; losses <= 4; losses++) {
      await terminateWorkerOf(gateway, call.callId);
      if (losses === 4) break;
      await eventually(async () => {
        const { body } = await http('GET', `${gateway.url}/metrics`);
        return body.includes(`upstream_reconnects_total{reason="worker_lost"} ${losses}`);
      });
    }
    await call.pollUntil(({ hasMore }) => !hasMore);
    expect(call.endReason).toBe('upstream_failed');
    expect(call.actions).toMatchObject([{ type: 'transfer', extension: '200' }]);
    expect((await call.end()).body.summary.transcript).toEqual([userLine('arrival'), aiLine('order-eta')]);
  });

  it('before it answered a turn has another answer it, once', async () => {
    await start('1', { simulator: { responseDelayMs: 1_000 } });
    const call = new TestCall(gateway.url, 'unanswered');
    await call.create({ aiAgentRef: 'quiet' });
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.length >= 1);
    const again = gateway.simulator.waitForConnection();
    await terminateWorkerOf(gateway, 'unanswered');
    const connection = await again;
    await call.pollUntil(({ lines }) => lines.length >= 2);
    expect(call.lines).toEqual([userLine('arrival'), aiLine('order-eta')]);
    expect(received(connection, 'response.create')).toHaveLength(1);
  });
});
