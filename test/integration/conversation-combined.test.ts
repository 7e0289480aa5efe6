import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BargeInVariant, Faults, SimulatorConnection } from '../../src/simulator/server.ts';
import { http, TestCall } from '../support/call.ts';
import {
  aiLine,
  BYTES_PER_MS,
  deliveredMs,
  eventually,
  nextEvent,
  played,
  received,
  say,
  send,
  speech,
  userLine,
} from '../support/caller.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

const PLAYED_MS = 2_000;

let gateway: TestGateway;
let calls = 0;
let errorsBefore: Record<string, number>;

beforeAll(async () => {
  gateway = await startGateway({
    env: { SESSION_WORKERS: '1' },
    profiles: { quiet: QUIET_PROFILE },
    overrides: { reconnect: { firstBackoffMs: 10, maxBackoffMs: 50, connectTimeoutMs: 10_000, shortestLifeMs: 0 } },
  });
});
beforeEach(() => {
  errorsBefore = gateway.simulator.stats.errors;
});
afterEach(() => {
  gateway.simulator.setDefaultFaults({});
});
afterAll(() => gateway.stop());

async function begin(faults: Faults = {}) {
  const call = new TestCall(gateway.url, `combined-${++calls}`);
  gateway.simulator.nextConnection(faults);
  const connected = gateway.simulator.waitForConnection();
  expect(await call.create({ aiAgentRef: 'quiet' })).toMatchObject({ status: 200 });
  return { call, connection: await connected };
}

/** A call whose caller has heard two seconds of the long line. */
async function hearing(faults: Faults) {
  const begun = await begin(faults);
  await say(begun.call, 'returns');
  await begun.call.pollUntil((call) => deliveredMs(call) > PLAYED_MS + 500);
  await played(begun.call, PLAYED_MS);
  return begun;
}

async function eventTypes(call: TestCall): Promise<string[]> {
  const { body } = await http('GET', `${gateway.url}/api/voice/session/${call.callId}/events`);
  return body.events.map(({ type }: { type: string }) => type);
}

/** The words that a connection was told of the conversation before it. */
function told(connection: SimulatorConnection): string[] {
  return received(connection, 'conversation.item.create').map(
    ({ item }) => (item as { content: { text: string }[] }).content[0]!.text,
  );
}

function expectCut(line: string): void {
  expect(aiLine('long-explanation').startsWith(line)).toBe(true);
  expect(line.length).toBeLessThan(aiLine('long-explanation').length);
}

describe('a connection that is lost', () => {
  it.each<[string, BargeInVariant | undefined]>([
    ['cancels its reply', undefined],
    ['has generated its reply', 'after_generation'],
    ['takes no notice', 'ignored'],
    ['sends some more of it', 'straggling_deltas'],
  ])('at the moment of an interruption, while the upstream %s, keeps what was heard', async (_, bargeIn) => {
    const { call, connection } = await hearing(bargeIn ? { bargeIn } : {});
    const again = gateway.simulator.waitForConnection();
    void nextEvent(connection, 'serverEvent', 'input_audio_buffer.speech_started').then(() => connection.drop());
    const interrupted = call.pollUntil(({ generation }) => generation === 1);
    await send(call, speech('person').subarray(0, 700 * BYTES_PER_MS));
    const second = await again;
    await interrupted;
    await eventually(() => told(second).length >= 2);
    expect(`[User]: ${told(second)[0]}`).toBe(userLine('returns'));
    expectCut(`[AI]: ${told(second)[1]}`);
    expect(received(second, 'response.create')).toEqual([]);

    await say(call, 'person');
    await call.pollUntil(({ lines }) => lines.filter((line) => line.startsWith('[AI]')).length >= 2);
    const { transcript } = (await call.end()).body.summary;
    expect(transcript.slice(0, 2)).toEqual([userLine('returns'), `[AI]: ${told(second)[1]}`]);
    expect(transcript.filter((line: string) => aiLine('long-explanation').startsWith(line))).toHaveLength(1);
    expect(gateway.simulator.stats.errors).toEqual(errorsBefore);
  });

  it('right behind a truncate is told no more than was heard', async () => {
    const { call, connection } = await hearing({ bargeIn: 'after_generation' });
    const again = gateway.simulator.waitForConnection();
    void nextEvent(connection, 'clientEvent', 'conversation.item.truncate').then(() => connection.drop());
    await say(call, 'person');
    const second = await again;
    await eventually(() => told(second).length >= 2);
    const [question, answer] = told(second);
    expect(`[User]: ${question}`).toBe(userLine('returns'));
    expectCut(`[AI]: ${answer}`);
    expect(answer!.length).toBeGreaterThan(0);
    expect(received(second, 'conversation.item.delete')).toEqual([]);
  });

  it('does not keep a caller from interrupting by key, who is answered when there is another', async () => {
    const { call, connection } = await hearing({ bargeIn: 'after_generation' });
    gateway.simulator.nextConnection({ handshakeDelayMs: 2_000 });
    const again = gateway.simulator.waitForConnection();
    connection.drop();
    await eventually(async () => (await eventTypes(call)).includes('upstream_lost'));
    await call.send({ dtmf: '1#' });
    await call.pollUntil(({ generation }) => generation === 1);
    const second = await again;
    await call.pollUntil(({ lines }) => lines.filter((line) => line.startsWith('[AI]')).length >= 2);
    const { transcript } = (await call.end()).body.summary;
    expect(transcript).toEqual([
      userLine('returns'),
      expect.any(String),
      '[User]: (pressed 1#)',
      expect.stringMatching(/^\[AI\]: ./),
    ]);
    expectCut(transcript[1]);
    expect(told(second)).toHaveLength(3);
    expect(received(second, 'response.create')).toHaveLength(1);
  });

  it('while its session moves to another is replaced by whichever is there first', async () => {
    const { call, connection } = await begin({ sessionDurationMs: 8_000 });
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.length >= 2);
    await played(call);
    const { connectionsTotal, connectionsOpen } = gateway.simulator.stats;
    // Read when the upgrade comes in: the move waits for its answer when the old connection goes.
    await new Promise<void>((resolve) => {
      gateway.simulator.nextConnection({
        get handshakeDelayMs() {
          resolve();
          return 500;
        },
      });
    });
    const replacement = gateway.simulator.waitForConnection();
    connection.drop();
    await replacement;
    const moved = gateway.simulator.waitForConnection();
    await eventually(async () => (await eventTypes(call)).includes('upstream_restored'));
    await say(call, 'returns');
    await call.pollUntil((poller) => deliveredMs(poller) > 0, 'timeout=1000&maxMs=60');
    // The move's connection comes in the middle of the reply, and is not needed any more.
    const unneeded = await moved;
    await eventually(() => !unneeded.isOpen);
    await call.pollUntil(({ lines }) => lines.length >= 4);
    expect(call.lines).toEqual([
      userLine('arrival'),
      aiLine('order-eta'),
      userLine('returns'),
      aiLine('long-explanation'),
    ]);
    expect(await eventTypes(call)).not.toContain('rotated');
    expect(gateway.simulator.stats).toMatchObject({ connectionsOpen, connectionsTotal: connectionsTotal + 2 });
    expect((await call.end()).body.summary.transcript).toEqual(call.lines);
  });

  it('for a call that ends meanwhile is not made again', async () => {
    const { call, connection } = await begin();
    const before = gateway.simulator.stats.connectionsTotal;
    gateway.simulator.setDefaultFaults({ handshakeDelayMs: 700 });
    connection.drop();
    await eventually(async () => (await eventTypes(call)).includes('upstream_lost'));
    expect((await call.end()).body).toMatchObject({ status: 'ended', summary: { endReason: 'completed' } });
    // The next call's connection is the next there is.
    gateway.simulator.setDefaultFaults({});
    await begin();
    expect(gateway.simulator.stats.connectionsTotal).toBe(before + 1);
  });

  it('goes on with the profile that the call began with, though its file has turned bad', async () => {
    const { call, connection } = await begin();
    writeFileSync(join(gateway.folder, 'agents', 'quiet.json'), '{ "instructions": 5 ');
    try {
      const again = gateway.simulator.waitForConnection();
      connection.drop();
      const second = await again;
      await eventually(() => second.session.instructions === QUIET_PROFILE.instructions);
      await eventually(async () => (await eventTypes(call)).includes('upstream_restored'));
      await say(call, 'arrival');
      await call.pollUntil(({ lines }) => lines.length >= 2);
      expect(call.lines).toEqual([userLine('arrival'), aiLine('order-eta')]);
      // New calls have the last good one.
      expect((await begin()).connection.session.instructions).toBe(QUIET_PROFILE.instructions);
    } finally {
      writeFileSync(join(gateway.folder, 'agents', 'quiet.json'), JSON.stringify(QUIET_PROFILE));
    }
  });
});
