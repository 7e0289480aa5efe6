import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AgentProfile } from '../../src/backend/agent-profile.ts';
import type { Faults, SimulatorConnection } from '../../src/simulator/server.ts';
import { TestCall } from '../support/call.ts';
import {
  aiLine,
  BYTES_PER_MS,
  heardBytes,
  lineBytes,
  manifest,
  nextEvent,
  played,
  received,
  say,
  send,
  silence,
  speech,
  userLine,
} from '../support/caller.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

const LONG = manifest.agentLines['long-explanation']!;
/** Transfers on request; without a tool, so that the agent only says so. */
const PROFILE: AgentProfile = { ...QUIET_PROFILE };

let gateway: TestGateway;
let calls = 0;

beforeAll(async () => {
  gateway = await startGateway({ env: { SESSION_WORKERS: '1' }, profiles: { quiet: PROFILE } });
});
afterAll(() => gateway.stop());

/** A call whose upstream connection has these faults. */
async function begin(faults: Faults = {}): Promise<{ call: TestCall; connection: SimulatorConnection }> {
  const call = new TestCall(gateway.url, `interrupted-${++calls}`);
  gateway.simulator.nextConnection(faults);
  const connected = gateway.simulator.waitForConnection();
  expect(await call.create({ aiAgentRef: 'quiet' })).toMatchObject({ status: 200 });
  return { call, connection: await connected };
}

/** A call that is hearing the long line. */
async function hearing(faults: Faults = {}): Promise<{ call: TestCall; connection: SimulatorConnection }> {
  const both = await begin(faults);
  await say(both.call, 'returns');
  await both.call.pollUntil((call) => heardBytes(call) > 0);
  return both;
}

function transcriptOf(summary: { transcript: string[] }): string[] {
  return summary.transcript;
}

describe('an interruption', () => {
  let errorsBefore: Record<string, number>;
  beforeEach(() => {
    errorsBefore = gateway.simulator.stats.errors;
  });
  const noErrors = () => expect(gateway.simulator.stats.errors).toEqual(errorsBefore);

  it.each<[string, Faults]>([
    ['while the reply is generated', {}],
    ['after the reply was generated whole', { bargeIn: 'after_generation' }],
    ['with deltas that come late', { bargeIn: 'straggling_deltas' }],
  ])('%s: what was heard stands, nothing old follows, and the new turn is answered', async (_, faults) => {
    const { call, connection } = await hearing(faults);
    const cancelled = faults.bargeIn !== 'after_generation';
    const before = call.heard.length;
    await say(call, 'person');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('transfer')));

    expect(call.generation).toBe(1);
    const truncates = received(connection, 'conversation.item.truncate');
    expect(truncates).toHaveLength(1);
    expect(truncates[0]).toMatchObject({ content_index: 0, audio_end_ms: expect.any(Number) });
    expect(truncates[0]!['audio_end_ms']).toBeLessThan(LONG.durationMs);
    expect(received(connection, 'response.cancel')).toEqual([]);
    noErrors();
    // Behind the old reply there is the new one, to its last frame, and nothing else.
    const after = call.heard.slice(before).reduce((sum, piece) => sum + piece.length, 0);
    if (cancelled) expect(after).toBeGreaterThanOrEqual(lineBytes('transfer'));
    const summary = (await call.end()).body.summary;
    const [first, cut, ...rest] = transcriptOf(summary);
    expect(first).toBe(userLine('returns'));
    expect(`[AI]: ${LONG.text}`.startsWith(cut!)).toBe(true);
    expect(cut!.length).toBeLessThan(LONG.text.length);
    expect(rest).toEqual([userLine('person'), aiLine('transfer')]);
  });
});
