import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCall } from '../support/call.ts';
import { BYTES_PER_MS, silence, speech, type Utterance, userLine } from '../support/caller.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

const PIECE_MS = 200;
const UTTERANCES: readonly Utterance[] = ['arrival', 'goodbye', 'arrival'];

let gateway: TestGateway;

beforeAll(async () => {
  const quick = { ...QUIET_PROFILE, turnDetection: { ...QUIET_PROFILE.turnDetection!, silenceDurationMs: 300 } };
  gateway = await startGateway({ env: { SESSION_WORKERS: '1' }, profiles: { quick } });
});

afterAll(async () => {
  await gateway.stop();
});

/** A caller whose microphone has what is said to it, and silence after that. */
class Microphone {
  #queued = Buffer.alloc(0);

  say(...audio: Buffer[]): void {
    this.#queued = Buffer.concat([this.#queued, ...audio]);
  }

  get isQuiet(): boolean {
    return this.#queued.length === 0;
  }

  /** Takes as long as what it records. */
  async record(ms: number): Promise<Buffer> {
    await sleep(ms);
    const piece = Buffer.concat([this.#queued.subarray(0, ms * BYTES_PER_MS), silence(ms)]);
    this.#queued = this.#queued.subarray(ms * BYTES_PER_MS);
    return piece.subarray(0, ms * BYTES_PER_MS);
  }
}

async function start(name: string): Promise<TestCall> {
  const call = new TestCall(gateway.url, name);
  expect(await call.create({ aiAgentRef: 'quick' })).toMatchObject({ status: 200 });
  return call;
}

async function post(call: TestCall, audio: Buffer): Promise<void> {
  expect((await call.send(audio)).body).toMatchObject({ status: 'streamed' });
}

function callerLines({ lines }: TestCall): string[] {
  return lines.filter((line) => line.startsWith('[User]'));
}

describe.concurrent('a client that cannot send while it waits or plays', () => {
  it('is given a turn an utterance when it polls for 800 ms every second time', async () => {
    const call = await start('every-second');
    const microphone = new Microphone();
    for (const utterance of UTTERANCES) microphone.say(speech(utterance), silence(300));
    for (let piece = 1; !microphone.isQuiet; piece++) {
      await post(call, await microphone.record(PIECE_MS));
      if (piece % 2 === 0) await call.poll('timeout=800');
    }
    await call.pollUntil((state) => callerLines(state).length >= UTTERANCES.length);
    // Nothing of the three is left to become a turn of its own.
    for (let i = 0; i < 6; i++) await post(call, silence(PIECE_MS));
    const { summary } = (await call.end()).body;
    expect(summary.transcript.filter((line: string) => line.startsWith('[User]'))).toEqual(UTTERANCES.map(userLine));
  });

  it('is given a turn an utterance when it plays each reply before it records again', async () => {
    const call = await start('plays-first');
    const microphone = new Microphone();
    let toSay = [...UTTERANCES];
    let isAnswered = true;
    while (toSay.length > 0 || !microphone.isQuiet) {
      if (isAnswered && microphone.isQuiet) {
        microphone.say(speech(toSay[0]!));
        toSay = toSay.slice(1);
        isAnswered = false;
      }
      await post(call, await microphone.record(PIECE_MS));
      for (let bytes = -1; bytes !== 0; ) {
        const heard = call.heard.length;
        await call.poll('timeout=400');
        bytes = Buffer.concat(call.heard.slice(heard)).length;
        await sleep(bytes / BYTES_PER_MS);
        isAnswered ||= bytes > 0;
      }
    }
    // The last utterance has no silence of the client's behind it: it sends nothing more.
    await call.pollUntil((state) => callerLines(state).length >= UTTERANCES.length);
    const { summary } = (await call.end()).body;
    expect(summary.transcript.filter((line: string) => line.startsWith('[User]'))).toEqual(UTTERANCES.map(userLine));
  });
});

describe.concurrent('a client that sends all the time', () => {
  it('has its turn closed with silence of the gateway when its network stalls', async () => {
    const call = await start('stalls');
    for (let turn = 1; turn <= 2; turn++) {
      const audio = speech('arrival');
      for (let at = 0; at < audio.length; at += 100 * BYTES_PER_MS) {
        await sleep(100);
        await post(call, audio.subarray(at, at + 100 * BYTES_PER_MS));
      }
      // Nothing is sent any more: without silence the turn would never end.
      await call.pollUntil((state) => callerLines(state).length === turn);
      await call.pollUntil(({ lines }) => lines.filter((line) => line.startsWith('[AI]')).length === turn);
    }
    expect(callerLines(call)).toEqual([userLine('arrival'), userLine('arrival')]);
    await call.end();
  });
});
