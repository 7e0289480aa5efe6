import { afterEach, describe, expect, it } from 'vitest';
import { http, TestCall } from '../support/call.ts';
import { aiLine, eventually, manifest, played, received, say, userLine } from '../support/caller.ts';
import { QUIET_PROFILE, startGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts';

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
    expect(await gateway.daemon.gateway.terminateWorkerOf({ tenantId: undefined }, 'doomed')).toBe(true);
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
    await gateway.daemon.gateway.terminateWorkerOf({ tenantId: undefined }, 'a');
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
    await gateway.daemon.gateway.terminateWorkerOf({ tenantId: undefined }, 'speaking');
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
  });

  it('before it answered a turn has another answer it, once', async () => {
    await start('1', { simulator: { responseDelayMs: 1_000 } });
    const call = new TestCall(gateway.url, 'unanswered');
    await call.create({ aiAgentRef: 'quiet' });
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.length >= 1);
    const again = gateway.simulator.waitForConnection();
    await gateway.daemon.gateway.terminateWorkerOf({ tenantId: undefined }, 'unanswered');
    const connection = await again;
    await call.pollUntil(({ lines }) => lines.length >= 2);
    expect(call.lines).toEqual([userLine('arrival'), aiLine('order-eta')]);
    expect(received(connection, 'response.create')).toHaveLength(1);
  });
});
