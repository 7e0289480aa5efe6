import { afterEach, describe, expect, it } from 'vitest';
import type { RealtimeSimulator } from '../../src/simulator/server.ts';
import { type Answer, http, TestCall } from '../support/call.ts';
import { eventually } from '../support/caller.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

const RUNNING_CALLS = 5;
const CREATE_EVERY_MS = 250;
const OUTAGE_MS = 7_000;
/** Shorter than the outage: most of those who wait for a permit give up before it is over. */
const CREATE_TIMEOUT_MS = 2_500;

let gateway: TestGateway;
afterEach(() => gateway.stop());

function attempts({ stats }: RealtimeSimulator): number {
  return stats.connectionsTotal + Object.values(stats.handshakesRefused).reduce((sum, count) => sum + count, 0);
}

describe('an outage of the upstream', () => {
  it('costs the calls that come after it nothing, and running ones a pause', async () => {
    gateway = await startGateway({
      env: { SESSION_WORKERS: '2', CREATE_TIMEOUT_MS: String(CREATE_TIMEOUT_MS) },
      profiles: { quiet: QUIET_PROFILE },
    });
    const { simulator } = gateway;
    const running = Array.from({ length: RUNNING_CALLS }, (_, index) => new TestCall(gateway.url, `running-${index}`));
    for (const call of running) expect(await call.create({ aiAgentRef: 'quiet' })).toMatchObject({ status: 200 });

    simulator.setDefaultFaults({ refuseHandshake: { status: 503 } });
    for (const connection of simulator.connections) connection.drop();
    let isBack = false;
    let createdAfterwards = 0;
    let askedAfterwards = 0;
    let count = 0;
    const asked: Promise<Answer>[] = [];
    const creating = setInterval(() => {
      const call = new TestCall(gateway.url, `new-${++count}`);
      if (isBack) askedAfterwards += 1;
      const creation = call.create({ aiAgentRef: 'quiet' });
      asked.push(creation);
      void creation.then(({ status }) => {
        if (status === 200) createdAfterwards += 1;
      });
    }, CREATE_EVERY_MS);
    try {
      await new Promise((resolve) => setTimeout(resolve, OUTAGE_MS));
      expect(createdAfterwards).toBe(0);
      // The upstream is asked all the time, and not by everybody.
      const refused = attempts(simulator) - RUNNING_CALLS;
      expect(refused).toBeGreaterThan(10);
      expect(refused).toBeLessThan(40);
      simulator.setDefaultFaults({});
      isBack = true;
      await eventually(() => createdAfterwards > 0, 30_000);
    } finally {
      clearInterval(creating);
    }
    // Three seconds of creates, with room for a machine that is busy.
    expect(askedAfterwards).toBeLessThanOrEqual(2 * (3_000 / CREATE_EVERY_MS));
    // Who failed was told that it is the AI.
    for (const { status } of await Promise.all(asked)) expect([200, 502, 504]).toContain(status);
    // Nobody is left in the queue, nor was the first success a lucky one.
    const last = new TestCall(gateway.url, 'last');
    const before = attempts(simulator);
    expect(await last.create({ aiAgentRef: 'quiet' })).toMatchObject({ status: 200 });
    await eventually(async () => {
      const { body } = await http('GET', `${gateway.url}/metrics`);
      return body.includes(`voice_gateway_upstream_reconnects_total{reason="lost"} ${RUNNING_CALLS}\n`);
    });
    expect(attempts(simulator) - before).toBeLessThanOrEqual(1 + RUNNING_CALLS);
    for (const call of running) expect((await call.info()).body.status).toBe('active');
  });
});
