import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { it as base, describe, expect } from 'vitest';
import { muLawFromPcm16 } from '../../src/audio/g711.ts';
import type { AgentProfile } from '../../src/backend/profiles/agent-profile.ts';
import type { SimulatorConnection } from '../../src/simulator/server.ts';
import { http } from '../support/call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts';
import { decoded, loudFrames, recordingAt8k, shareHeard, withoutSilence } from './audio.ts';
import { Link } from './switch/link.ts';
import { type CallOptions, TestSwitch, type TestSwitchCall } from './switch/switch.ts';

/** Whole calls in real time, on two cores that others use too. */
const CALL_TIMEOUT_MS = 80_000;

const manifest = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../fixtures/manifest.json', import.meta.url)), 'utf8'),
) as {
  calls: Record<string, { utterances: { startMs: number; endMs: number }[] }>;
  agentLines: Record<string, { text: string }>;
};

/** Opens with a line of eight seconds. */
const TALKATIVE_PROFILE: AgentProfile = {
  ...QUIET_PROFILE,
  greeting: { say: manifest.agentLines['long-explanation']!.text, interruptible: true },
  tools: [{ type: 'transfer_to_extension' }],
  transferExtensions: ['200'],
};

/** Of a line that was heard. A slow machine puts pauses in, and a window with one in it is not found again. */
const ALL_OF_IT = 0.8;

/** How far the script writes ahead of the playback, and the frame that is being played. */
const FRAMES_UNDER_WAY = 5;

/** A gateway, the network before it, and a switch; a test has its own of each. */
class Bench {
  readonly gateway: TestGateway;
  readonly link: Link;
  readonly switch = new TestSwitch();
  /** Connections of the gateway to the upstream, in their order. */
  readonly upstream: SimulatorConnection[] = [];

  private constructor(gateway: TestGateway, link: Link) {
    this.gateway = gateway;
    this.link = link;
    gateway.simulator.on('connection', (connection) => this.upstream.push(connection));
  }

  static async open(options: TestGatewayOptions = {}): Promise<Bench> {
    const gateway = await startGateway({
      profiles: { quiet: QUIET_PROFILE, talkative: TALKATIVE_PROFILE },
      ...options,
      env: { SESSION_WORKERS: '1', SPARE_SESSION_WORKERS: '0', ...options.env },
      simulator: { captureAudio: true, ...options.simulator },
    });
    return new Bench(gateway, await Link.open(gateway.url));
  }

  call(options: CallOptions = {}): TestSwitchCall {
    return this.switch.call({
      ...options,
      variables: { ai_gateway_url: this.link.url, ai_fallback_extension: '299', ...options.variables },
    });
  }

  /** The session's end as the gateway knows it. */
  async endReasonOf(call: TestSwitchCall): Promise<string | undefined> {
    const answer = await http('POST', `${this.gateway.url}/api/voice/session/${call.uuid}/end`);
    return answer.body.summary?.endReason;
  }

  async close(): Promise<void> {
    await this.switch.close();
    await this.link.close();
    await this.gateway.stop();
  }
}

/** Opens a bench that is closed with the test. */
type Open = (options?: TestGatewayOptions) => Promise<Bench>;

const it = base.extend<{ open: Open }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the names of the fixtures from the pattern
  open: async ({}, use) => {
    const benches: Promise<Bench>[] = [];
    await use((options) => {
      const bench = Bench.open(options);
      benches.push(bench);
      return bench;
    });
    for (const bench of await Promise.all(benches)) await bench.close();
  },
});

function repeated(samples: Int16Array, times: number): Int16Array {
  const out = new Int16Array(samples.length * times);
  for (let i = 0; i < times; i++) out.set(samples, i * samples.length);
  return out;
}

/** Noise as loud as speech, without a pause. The same every time. */
function babble(seconds: number): Int16Array {
  let state = 1;
  return Int16Array.from({ length: seconds * 8000 }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state % 8000) - 4000;
  });
}

const logOf = (call: TestSwitchCall) => call.log.join('\n');

/**
 * Compares what a stream brought with what went in, byte for byte but for pauses. The start may be missing, since a call
 * begins before its recording, and so may the end.
 * @returns how many bytes of speech were compared
 */
function expectSameSpeech(went: Uint8Array, came: Uint8Array): number {
  const sent = withoutSilence(went);
  const arrived = withoutSilence(came);
  const start = sent.indexOf(arrived.subarray(0, 400));
  expect(start, 'the stream begins with something that was not sent').toBeGreaterThanOrEqual(0);
  const expected = sent.subarray(start, start + arrived.length);
  const firstDifference = arrived.findIndex((byte, i) => byte !== expected[i]);
  expect(firstDifference, 'something is lost, repeated or changed at this byte').toBe(-1);
  return arrived.length;
}

describe.concurrent('a call', { timeout: CALL_TIMEOUT_MS }, () => {
  it('hears the greeting, is heard and answered, and ends when the agent says goodbye', async ({ open }) => {
    const bench = await open();
    const said = recordingAt8k('calls/opening-hours-8k');
    const call = bench.call({ says: said, isAnswered: false });
    await call.ended();

    const heard = decoded(call.heard);
    let from = 0;
    for (const line of ['greeting', 'opening-hours', 'saturday-hours', 'goodbye']) {
      const { share, end } = shareHeard(recordingAt8k(`agent/${line}`), heard, from);
      expect(share, line).toBeGreaterThan(ALL_OF_IT);
      from = end;
    }
    // What the upstream got is what the caller said, with nothing missing in between.
    const upstream = bench.upstream[0]!;
    const compared = expectSameSpeech(call.said, upstream.receivedAudio());
    const lastWordMs = manifest.calls['opening-hours-8k']!.utterances.at(-1)!.endMs;
    expect(compared).toBeGreaterThan(withoutSilence(muLawFromPcm16(said.subarray(0, lastWordMs * 8))).length - 4000);

    expect(call.departure).toEqual({ kind: 'hangup', cause: 'NORMAL_CLEARING' });
    expect(await bench.endReasonOf(call)).toBe('agent_hangup');
    expect(bench.link.to('/create')[0]!.body).toEqual({
      callId: call.uuid,
      encoding: 'pcmu',
      sampleRate: 8000,
      did: '5406594427',
      callerNumber: '393297626144',
    });
    // One playback for the whole call: every start of one blanks the caller.
    expect(call.playbacks).toHaveLength(1);
    const chunks = bench.link.to(call.uuid);
    expect(chunks.map(({ body }) => body.chunkSeq)).toEqual(chunks.map((_, i) => i));
    expect(bench.switch.files).toEqual([]);
  });

  it('goes silent when it is interrupted, and is transferred where the agent sends it', async ({ open }) => {
    const bench = await open();
    const call = bench.call({
      codec: 'PCMA',
      variables: { ai_agent_ref: 'talkative', ai_transfer_context: 'agents' },
    });
    // The script says with each chunk what it is playing; whatever takes its time, that is when it knew.
    let framesWhenKnown = 0;
    bench.link.fault = ({ path, query }) => {
      if (path.endsWith(call.uuid) && query.get('generation') === '1') framesWhenKnown ||= call.frames;
      return undefined;
    };
    const heard = () => decoded(call.heard, 'PCMA');
    await call.until(() => loudFrames(decoded(call.heard.subarray(-8000), 'PCMA')) > 35, 'the agent was speaking');
    // For as long as the caller goes on, the agent has nothing to answer.
    call.say(babble(60));
    await call.until(() => framesWhenKnown > 0 && call.frames > framesWhenKnown + 75, 'the script knew of it');
    const afterwards = heard().subarray(framesWhenKnown * 160);
    call.say(recordingAt8k('calls/interrupter-greeting-16k'));
    await call.ended();

    const [, rescues] = / (\d+) rescues/.exec(logOf(call))!;
    // A rescue puts as much silence before what is under way.
    const underWay = FRAMES_UNDER_WAY * (1 + Number(rescues));
    expect(loudFrames(afterwards.subarray(underWay * 160))).toBe(0);
    const isIn = (part: Int16Array) => shareHeard(part, heard()).share;
    const greeting = recordingAt8k('agent/long-explanation');
    expect(isIn(greeting.subarray(0, 8000))).toBeGreaterThan(0.5);
    // The end of it was never spoken.
    expect(isIn(greeting.subarray(-16_000))).toBeLessThan(0.5);
    // The line before the transfer is played to its end.
    expect(isIn(recordingAt8k('agent/transfer'))).toBeGreaterThan(ALL_OF_IT);

    expect(call.departure).toEqual({ kind: 'transfer', extension: '200', context: 'agents' });
    expect(call.variables.ai_result).toBe('transferred');
    expect(bench.link.to('/end')).toHaveLength(1);
    expect(bench.switch.files).toEqual([]);
  });

  it('goes to the fallback when the agent asks for an extension that is not allowed here', async ({ open }) => {
    const bench = await open();
    const call = bench.call({
      says: recordingAt8k('calls/interrupter-greeting-16k'),
      variables: { ai_transfer_allow: '^3%d%d$' },
    });
    await call.ended();
    expect(call.departure).toEqual({ kind: 'transfer', extension: '299', context: 'public' });
    expect(call.variables.ai_fallback_reason).toContain('"200"');
    expect(bench.switch.files).toEqual([]);
  });

  it('sends the digits the caller presses, each once', async ({ open }) => {
    const bench = await open();
    const call = bench.call({ variables: { ai_agent_ref: 'quiet' } });
    // A lost answer has the chunk sent again; the digit is in it again, under the same number.
    bench.link.fault = ({ body, index }) =>
      body?.dtmf !== undefined && index % 2 === 0 ? { kind: 'answer_lost' } : undefined;
    await call.until(() => bench.link.to(call.uuid).length > 3, 'the conversation began');
    for (const digit of '12#') {
      call.press(digit);
      const at = call.frames;
      await call.until(() => call.frames >= at + 15, 'the digit was sent');
    }
    call.hangUp();
    await call.ended();
    const chunks = bench.link.to(call.uuid).filter(({ body }) => body.dtmf !== undefined);
    const byNumber = new Map(chunks.map(({ body }) => [body.chunkSeq, body.dtmf]));
    expect([...byNumber.values()].join('')).toBe('12#');
    expect(JSON.stringify(bench.upstream[0]!.items)).toMatch(/12#|1.*2.*#/);
  });

  it('is played on after a uuid_break that was meant for something else', async ({ open }) => {
    const bench = await open({ simulator: { mode: 'loopback' } });
    const call = bench.call({
      says: repeated(recordingAt8k('agent/greeting'), 12),
      variables: { ai_agent_ref: 'quiet' },
    });
    await call.until(() => call.frames > 75, 'it went on for a while');
    call.breakPlayback();
    const at = call.frames;
    const lastSecond = () => loudFrames(decoded(call.heard.subarray(-8000)));
    await call.until(() => call.frames > at + 75 && lastSecond() > 25, 'he heard himself after the break');
    call.hangUp();
    await call.ended();
    expect(call.playbacks).toHaveLength(2);
    expect(bench.switch.files).toEqual([]);
  });

  it('goes on after the playback has run dry and taken the recording with it', async ({ open }) => {
    const bench = await open({ simulator: { mode: 'loopback' } });
    const call = bench.call({
      says: repeated(recordingAt8k('agent/greeting'), 4),
      variables: { ai_agent_ref: 'quiet' },
    });
    await call.until(() => call.frames > 50, 'it went on for a while');
    // More frames than the pump is ahead: the playback waits for it, it for the recording, that for the playback.
    call.skipCapturedFrames(12);
    await call.until(() => call.frames > 200, 'it went on after that');
    call.hangUp();
    await call.ended();
    expect(logOf(call)).toMatch(/ [1-9]\d* rescues/);
    expect(bench.switch.files).toEqual([]);
  });
});

describe.concurrent('a call on hold', { timeout: CALL_TIMEOUT_MS }, () => {
  it('goes on when the caller is back, and can be hung up while he is away', async ({ open }) => {
    const bench = await open({ simulator: { mode: 'loopback' } });
    const call = bench.call({
      says: repeated(recordingAt8k('agent/greeting'), 12),
      variables: { ai_agent_ref: 'quiet' },
    });
    const lastSecond = () => loudFrames(decoded(call.heard.subarray(-8000)));
    await call.until(() => lastSecond() > 25, 'he heard himself');
    call.hold();
    let at = call.frames;
    await call.until(() => call.frames > at + 20, 'the session thread looked around');
    call.hold(false);
    at = call.frames;
    await call.until(() => call.frames > at + 50 && lastSecond() > 25, 'he heard himself again');
    call.hold();
    at = call.frames;
    // Long enough for everything that was written for good measure to be used up.
    await call.until(() => call.frames > at + 50, 'the session thread looked around for a long time');
    call.hangUp();
    await call.ended();
    expect(call.playbacks).toHaveLength(1);
    expect(bench.switch.files).toEqual([]);
    expect(bench.link.to('/end')).toHaveLength(1);
  });
});

describe.concurrent('a hang-up', { timeout: CALL_TIMEOUT_MS }, () => {
  it('in the middle of a request frees the caller at once and ends the session when the answer comes', async ({
    open,
  }) => {
    const bench = await open();
    const call = bench.call({ variables: { ai_agent_ref: 'quiet' } });
    const held = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    bench.link.fault = ({ body }) => {
      if (body?.chunkSeq !== 10) return undefined;
      arrived.resolve();
      return { kind: 'held', until: held.promise };
    };
    await arrived.promise;
    call.hangUp();
    // The request is still under way when the thread of the call has gone.
    await call.left;
    expect(call.isUp).toBe(false);
    expect(bench.link.to('/end')).toHaveLength(0);
    held.resolve();
    await call.ended();
    expect(bench.link.to('/end')).toHaveLength(1);
    expect(bench.switch.files).toEqual([]);
    const list = await http('GET', `${bench.gateway.url}/api/voice/sessions`);
    expect(list.body.count).toBe(0);
  });

  it('while the session is being created leaves none behind', async ({ open }) => {
    const bench = await open();
    const call = bench.call();
    const held = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    bench.link.fault = ({ path }) => {
      if (!path.endsWith('/create')) return undefined;
      arrived.resolve();
      return { kind: 'held', until: held.promise };
    };
    await arrived.promise;
    call.hangUp();
    await call.left;
    held.resolve();
    await call.ended();
    const list = await http('GET', `${bench.gateway.url}/api/voice/sessions`);
    expect(list.body.count).toBe(0);
    expect(bench.link.to('/end')).toHaveLength(1);
    expect(bench.switch.files).toEqual([]);
  });

  it('while something else has been played for so long that the FIFO is full leaves nothing behind', async ({
    open,
  }) => {
    const bench = await open();
    const call = bench.call({ variables: { ai_agent_ref: 'quiet' } });
    await call.until(() => call.frames > 25, 'the conversation began');
    call.overlay();
    const at = call.frames;
    // 64 KB hold 410 frames of G.711, and 205 that were recorded.
    await call.until(() => call.frames > at + 500, 'the pump was waiting');
    call.hangUp();
    await call.ended();
    expect(bench.link.to('/end')).toHaveLength(1);
    expect(bench.switch.files).toEqual([]);
  });

  it('before the script has begun leaves nothing behind', async ({ open }) => {
    const bench = await open();
    const call = bench.call();
    call.hangUp();
    await call.ended();
    expect(call.departure).toEqual({ kind: 'none' });
    expect(bench.switch.files).toEqual([]);
  });
});

describe.concurrent('a bad network', { timeout: CALL_TIMEOUT_MS }, () => {
  const loop = { simulator: { mode: 'loopback' as const, captureAudio: true } };
  const says = () => repeated(recordingAt8k('agent/long-explanation'), 2);

  it('that loses one answer or request in ten loses and repeats no audio', async ({ open }) => {
    const bench = await open(loop);
    const call = bench.call({ says: says(), variables: { ai_agent_ref: 'quiet' } });
    const kinds = ['answer_lost', 'lost', 'status'] as const;
    let faults = 0;
    bench.link.fault = ({ path, index }) => {
      if (!path.endsWith(call.uuid) || index % 10 !== 5) return undefined;
      const kind = kinds[faults++ % kinds.length]!;
      return kind === 'status' ? { kind, status: 500 } : { kind };
    };
    // A machine that stands still makes fewer and longer pieces.
    await call.until(() => call.frames >= 600 && faults > 8, 'twelve seconds and nine faults were over');
    call.hangUp();
    await call.ended();
    expect(faults).toBeGreaterThan(8);
    expect(logOf(call)).toMatch(/ 0 ms lost, 0 ms dropped/);
    const received = bench.upstream[0]!.receivedAudio();
    expect(expectSameSpeech(call.said, received)).toBeGreaterThan(40_000);
    // The upstream echoes: what the caller hears went both ways.
    expect(expectSameSpeech(call.said, call.heard)).toBeGreaterThan(40_000);
  });

  it('that is slow makes pieces longer and loses nothing', async ({ open }) => {
    const bench = await open(loop);
    const call = bench.call({ says: says(), variables: { ai_agent_ref: 'quiet' } });
    bench.link.fault = ({ path }) => (path.endsWith(call.uuid) ? { kind: 'slow', eachWayMs: 150 } : undefined);
    await call.until(() => call.frames >= 500, 'ten seconds were over');
    call.hangUp();
    await call.ended();
    const received = bench.upstream[0]!.receivedAudio();
    expect(expectSameSpeech(call.said, received)).toBeGreaterThan(30_000);
    expect(expectSameSpeech(call.said, call.heard)).toBeGreaterThan(25_000);
    const chunks = bench.link.to(call.uuid);
    expect(chunks.length).toBeLessThan(50);
  });

  it('or a busy upstream has a chunk sent again under its number, until it is a second old', async ({ open }) => {
    const bench = await open();
    const call = bench.call({ variables: { ai_agent_ref: 'quiet' } });
    // The number was not used up, so other audio takes it when the first has grown old.
    const pieces = new Set<string>();
    let lastFrame = 0;
    const keysAccepted: string[] = [];
    bench.link.fault = ({ body }) => {
      if (body?.chunkSeq === 8 && lastFrame === 0) {
        if (pieces.size === 0) call.press('7');
        pieces.add(body.audio);
        if (pieces.size < 2) return { kind: 'status', status: 503, body: { code: 'upstream_busy' } };
        lastFrame = call.frames;
      }
      if (body?.dtmf !== undefined) keysAccepted.push(body.dtmf);
      return undefined;
    };
    await call.until(() => lastFrame > 0, 'the upstream was free again');
    await call.until(() => call.frames > lastFrame + 50, 'it went on');
    call.hangUp();
    await call.ended();
    const numbers = bench.link.to(call.uuid).map(({ body }) => body.chunkSeq as number);
    expect(numbers.filter((number) => number === 8).length).toBeGreaterThan(pieces.size);
    expect(logOf(call)).toMatch(/ [1-9]\d* retries, [1-9]\d* ms lost/);
    expect(Math.max(...numbers)).toBeGreaterThan(8);
    // Audio grows old, what was pressed does not.
    expect(keysAccepted).toEqual(['7']);
    expect(call.departure).toEqual({ kind: 'none' });
  });
});

describe.concurrent('the fallback takes the call', { timeout: CALL_TIMEOUT_MS }, () => {
  const fallback = { kind: 'transfer', extension: '299', context: 'public' } as const;

  it('when the gateway is not there', async ({ open }) => {
    const bench = await open();
    bench.link.target = undefined;
    const call = bench.call();
    await call.ended();
    expect(call.departure).toEqual(fallback);
    expect(bench.link.to('/create')).toHaveLength(3);
    expect(call.variables.ai_result).toBe('fallback');
    expect(bench.switch.files).toEqual([]);
  });

  it('when the gateway is full, after some attempts, and a second address would have been tried', async ({ open }) => {
    const bench = await open({ env: { MAX_SESSIONS: '1' } });
    const first = bench.call({ variables: { ai_agent_ref: 'quiet' } });
    await first.until(() => bench.link.to(first.uuid).length > 2, 'the first call is up');
    const second = bench.call();
    await second.ended();
    expect(second.departure).toEqual(fallback);
    expect(second.variables.ai_fallback_reason).toContain('503');
    expect(bench.link.to('/create')).toHaveLength(4);
    const other = await open();
    const third = bench.call({
      variables: { ai_gateway_url: `${bench.link.url} ${other.link.url}`, ai_agent_ref: 'quiet' },
    });
    await third.until(() => other.link.to(third.uuid).length > 2, 'the other gateway took it');
    for (const call of [first, third]) call.hangUp();
    await Promise.all([first.ended(), third.ended()]);
    expect(bench.switch.files).toEqual([]);
  });

  it('when the gateway was restarted and does not know the call any more', async ({ open }) => {
    const bench = await open();
    const call = bench.call({ variables: { ai_agent_ref: 'quiet' } });
    await call.until(() => bench.link.to(call.uuid).length > 5, 'the conversation began');
    bench.link.target = undefined;
    const at = call.frames;
    await call.until(() => call.frames > at + 25, 'some requests failed');
    const successor = await open();
    bench.link.target = successor.gateway.url;
    await call.ended();
    expect(call.departure).toEqual(fallback);
    expect(call.variables.ai_fallback_reason).toContain('does not know the call');
    expect(bench.switch.files).toEqual([]);
  });

  it('when the gateway goes away for good', async ({ open }) => {
    const bench = await open();
    const call = bench.call({ variables: { ai_agent_ref: 'quiet' } });
    await call.until(() => bench.link.to(call.uuid).length > 5, 'the conversation began');
    bench.link.target = undefined;
    await call.ended();
    expect(call.departure).toEqual(fallback);
    expect(call.variables.ai_fallback_reason).toContain('does not answer');
    expect(bench.switch.files).toEqual([]);
  });

  it('when the call has a codec that is not carried, and says which', async ({ open }) => {
    const bench = await open();
    const call = bench.call({ codec: 'G722' });
    await call.ended();
    expect(call.departure).toEqual(fallback);
    // The reason is all there is: no file, no line number.
    expect(call.variables.ai_fallback_reason).toMatch(/^the call is in G722/);
    expect(logOf(call)).toMatch(/err: .*fallback to 299: the call is in G722 at 16000 Hz.*absolute_codec_string/);
    expect(bench.link.requests).toHaveLength(0);
    expect(call.commands).toEqual([]);
  });

  it('when mod_curl is missing, and says so', async ({ open }) => {
    const bench = await open();
    const call = bench.call({ onCurl: () => 'INVALID COMMAND!\n' });
    await call.ended();
    expect(call.departure).toEqual(fallback);
    expect(call.variables.ai_fallback_reason).toContain('is mod_curl loaded?');
    expect(bench.switch.files).toEqual([]);
  });

  it('when the folder for its files cannot be used', async ({ open }) => {
    const bench = await open();
    const call = bench.call({ variables: { ai_run_dir: '/nowhere' } });
    await call.ended();
    expect(call.departure).toEqual(fallback);
    expect(logOf(call)).toContain('cannot use /nowhere');
  });

  it('when something of the name of its folder is there already, which it leaves alone', async ({ open }) => {
    const bench = await open();
    const newUuid = '11111111-2222-4333-8444-555555555555';
    const folder = join(bench.switch.folder, `w3-ai-${newUuid}`);
    mkdirSync(folder);
    writeFileSync(join(folder, 'x'), '');
    const call = bench.call({ newUuid });
    await call.ended();
    expect(call.departure).toEqual(fallback);
    expect(logOf(call)).toContain('no folder can be made in it');
    expect(readdirSync(folder)).toEqual(['x']);
    expect(readFileSync(join(folder, 'x'), 'utf8')).toBe('');
  });

  it('and without one the caller hears a prompt and is hung up', async ({ open }) => {
    const bench = await open();
    bench.link.target = undefined;
    const call = bench.call({ variables: { ai_fallback_extension: '', ai_fallback_prompt: 'sorry.wav' } });
    await call.ended();
    expect(call.playbacks.at(-1)).toBe('sorry.wav');
    expect(call.departure).toEqual({ kind: 'hangup', cause: 'NORMAL_TEMPORARY_FAILURE' });
    expect(bench.switch.files).toEqual([]);
  });
});

describe.concurrent('the files of a call', { timeout: CALL_TIMEOUT_MS }, () => {
  it('are in a folder that only the own user can enter, one a call', async ({ open }) => {
    const bench = await open();
    const calls = [bench.call(), bench.call()];
    for (const call of calls) await call.until(({ playbacks }) => playbacks.length > 0, 'it was played to');
    const modes = bench.switch.files.map((name) => {
      const { mode } = lstatSync(join(bench.switch.folder, name));
      return [name.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, 'UUID'), (mode & 0o777).toString(8)];
    });
    for (const call of calls) call.hangUp();
    for (const call of calls) await call.ended();
    expect(modes.filter(([name]) => name === 'w3-ai-UUID')).toEqual(Array(2).fill(['w3-ai-UUID', '700']));
    expect(modes).toContainEqual(['w3-ai-UUID/down.PCMU', '600']);
    expect(modes.filter(([name, mode]) => name?.includes('/') && mode !== '600')).toEqual([]);
    expect(bench.switch.files).toEqual([]);
  });
});

describe.concurrent('the API key', { timeout: CALL_TIMEOUT_MS }, () => {
  const key = 'a-key-that-nobody-may-see';

  it('goes to the gateway and nowhere else', async ({ open }) => {
    const bench = await open({ env: { W3_VOICE_GATEWAY_API_KEY: key } });
    const call = bench.call({ variables: { ai_api_key: key, ai_tenant_id: 'tenant-1', ai_agent_ref: 'quiet' } });
    await call.until(() => bench.link.to(call.uuid).length > 2, 'the conversation began');
    const list = await http('GET', `${bench.gateway.url}/api/voice/sessions`, undefined, { 'x-api-key': key });
    expect(list.body.sessions).toMatchObject([{ callId: call.uuid, tenantId: 'tenant-1' }]);
    call.hangUp();
    await call.ended();
    expect(call.requests[0]!.headers).toMatchObject({ 'x-api-key': key, 'x-tenant-id': 'tenant-1' });
    expect(logOf(call) + call.commands.join('\n')).not.toContain(key);
  });

  it('that is wrong sends the call to the fallback, at once and without being logged', async ({ open }) => {
    const bench = await open({ env: { W3_VOICE_GATEWAY_API_KEY: key } });
    const wrong = 'another-key-nobody-may-see';
    const call = bench.call({ variables: { ai_api_key: wrong } });
    await call.ended();
    expect(call.departure.kind).toBe('transfer');
    expect(bench.link.to('/create')).toHaveLength(1);
    expect(logOf(call)).toContain('403');
    expect(logOf(call) + call.commands.join('\n') + JSON.stringify(call.variables)).not.toContain(wrong);
  });

  it('travels over https only with certificates checked', async ({ open }) => {
    const bench = await open();
    const call = bench.call({ variables: { ai_gateway_url: bench.link.url.replace('http:', 'https:') } });
    await call.ended();
    expect(call.requests.length).toBeGreaterThan(0);
    expect(call.requests.every(({ isSecure }) => isSecure)).toBe(true);
  });
});
