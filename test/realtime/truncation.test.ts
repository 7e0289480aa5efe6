import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RealtimeSession } from '../../src/realtime/session.ts';
import { type Faults, RealtimeSimulator, type SimulatorConnection } from '../../src/simulator/server.ts';
import { frame, loud, newSession, quiet, type TestHost } from '../support/realtime.ts';

const INTERRUPTIONS_A_CALL = 25;
/** What goes wrong on each of the calls. */
const CALLS: Faults[] = [
  {},
  {},
  { bargeIn: 'after_generation' },
  { bargeIn: 'after_generation' },
  { bargeIn: 'straggling_deltas' },
  { bargeIn: 'straggling_deltas' },
  { overlappingItems: true },
  { overlappingItems: true, bargeIn: 'after_generation' },
  { overlappingItems: true, bargeIn: 'straggling_deltas' },
  { unknownEvents: true },
];

/** Numbers between 0 and 1 that are the same in every run. */
function* randomNumbers(seed: number): Generator<number, never> {
  let state = seed;
  while (true) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

let simulator: RealtimeSimulator;
beforeAll(async () => {
  // Replies take tens of milliseconds, so that interruptions fall before, into and behind their generation.
  simulator = await RealtimeSimulator.listen({ speedup: 60, responseDelayMs: 2, transcriptionDelayMs: 1 });
});
afterAll(() => simulator.close());

interface Call {
  readonly session: RealtimeSession;
  readonly host: TestHost;
  readonly connection: SimulatorConnection;
}

async function open(faults: Faults): Promise<Call> {
  const { session, host } = newSession(simulator.url);
  simulator.nextConnection(faults);
  const connected = simulator.waitForConnection();
  await session.open(10_000);
  return { session, host, connection: await connected };
}

/** Has a caller interrupt again and again, having heard any part of what came. */
async function interruptOften({ session, host, connection }: Call, seed: number): Promise<void> {
  const numbers = randomNumbers(seed);
  const random = (limit: number) => Math.floor(numbers.next().value * limit);

  for (let turn = 1; turn <= INTERRUPTIONS_A_CALL + 1; turn++) {
    session.sendAudio(frame(loud(300)));
    await host.until(() => host.all('speech_started').length >= turn);
    const itemCount = host.receivedMs.size;
    session.sendAudio(frame(quiet(700)));
    await host.until(() => host.all('response_started').length >= turn);
    // Wait for nothing, for some audio, or for all of it.
    const wanted = random(4);
    if (wanted === 1) await host.until(() => host.receivedMs.size > itemCount);
    if (wanted > 1) await host.until(() => host.all('response_done').length >= turn);
    // The client got some of it, or all, and has played some of that, or all.
    host.deliver(random(2) === 0 ? host.queuedFrames : random(host.queuedFrames + 1));
    host.nowMs += random(3) === 0 ? 30_000 : random(6_000);
  }
  await host.until(() => host.all('response_done').length >= INTERRUPTIONS_A_CALL);
  const truncates = connection.received.filter(({ type }) => type === 'conversation.item.truncate');
  // Nothing is truncated twice, nothing to more than came, and nothing that was heard to its end.
  const itemIds = truncates.map(({ event }) => event['item_id'] as string);
  expect(new Set(itemIds).size).toBe(itemIds.length);
  for (const { event } of truncates) {
    const itemId = event['item_id'] as string;
    expect(event['audio_end_ms']).toBeLessThanOrEqual(host.receivedMs.get(itemId) ?? 0);
    const cut = host.verdicts.flatMap(({ verdict }) => verdict.cuts).find((one) => one.itemId === itemId);
    if (cut) expect(event['audio_end_ms']).toBe(Math.floor(cut.heardMs));
  }
  const heard = host.verdicts.flatMap(({ verdict }) => verdict.heard);
  const sentMs = new Map(host.all('assistant_text').map(({ itemId, audioMs }) => [itemId, audioMs]));
  for (const itemId of heard) {
    // What was heard of what came stays whole, unless more came that was not played.
    if ((sentMs.get(itemId) ?? 0) <= (host.receivedMs.get(itemId) ?? 0)) expect(itemIds).not.toContain(itemId);
  }
  session.close();
  totals.truncates += truncates.length;
  totals.heard += heard.length;
  totals.turns += INTERRUPTIONS_A_CALL;
}

const totals = { truncates: 0, heard: 0, turns: 0 };

describe('truncation', () => {
  it('never asks for more than came in 500 random interruptions', async () => {
    const rounds = 500 / (INTERRUPTIONS_A_CALL * CALLS.length);
    for (let round = 0; round < rounds; round++) {
      const calls: Call[] = [];
      for (const faults of CALLS) calls.push(await open(faults));
      await Promise.all(calls.map((call, index) => interruptOften(call, 1 + index + round * CALLS.length)));
    }
    expect(totals.turns).toBe(500);
    // Both outcomes were exercised, and the upstream found fault with none of it.
    expect(totals.truncates).toBeGreaterThan(100);
    expect(totals.heard).toBeGreaterThan(20);
    expect(simulator.stats.errors).toEqual({});
  });
});
