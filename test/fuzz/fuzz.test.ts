import { afterEach, expect, it } from 'vitest';
import { TestCall } from '../support/call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';
import { fuzz } from './fuzz.ts';

const INPUTS = 3_000;
let gateway: TestGateway;

afterEach(() => gateway.stop());

it(`answers ${INPUTS} random requests without a 5xx, and its calls go on`, async () => {
  gateway = await startGateway({ profiles: { quiet: QUIET_PROFILE }, env: { SESSION_WORKERS: '1' } });
  const callIds = ['fuzz-a', 'fuzz-b', 'fuzz-c'];
  for (const callId of callIds) {
    const encoding = callId === 'fuzz-c' ? 'pcmu' : 'pcm16';
    expect((await new TestCall(gateway.url, callId).create({ aiAgentRef: 'quiet', encoding })).status).toBe(200);
  }
  const seed = Date.now() % 1_000_000;
  const { inputs, statuses, failures } = await fuzz(gateway.url, callIds, INPUTS, seed);
  console.log(`${inputs} inputs, seed ${seed}, answers by status ${JSON.stringify(statuses)}`);
  expect(failures, `seed ${seed}`).toEqual([]);
  // Both what is right and what is wrong must have been among them.
  expect(statuses[200]).toBeGreaterThan(INPUTS / 50);
  expect(statuses[400]).toBeGreaterThan(INPUTS / 50);
  expect(statuses[404]).toBeGreaterThan(INPUTS / 50);
  for (const callId of callIds) expect((await new TestCall(gateway.url, callId).info()).body.status).toBe('active');
});
