import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { callerHash } from '../../src/call/settings.ts';
import type { SimulatorConnection } from '../../src/simulator/server.ts';
import { http, TestCall } from '../support/call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

/**
 * Calls over a network that loses, repeats, reorders and breaks off requests and answers. The client numbers its chunks
 * and acknowledges; the upstream sends back what it gets. Then every sample arrives once and in order, both ways.
 *
 * These calls are a sample: `npm run property` plays 1,000. PROPERTY_SEED and PROPERTY_CALLS choose others, and PROPERTY_CALL
 * one of them.
 */
const SEED = Number(process.env['PROPERTY_SEED'] ?? 20_260_806);
const CALLS = Number(process.env['PROPERTY_CALLS'] ?? 250);
const ONLY = process.env['PROPERTY_CALL'];
const CONCURRENT_CALLS = 40;

const CALLER_HASH_KEY = 'a key for the hashes of a test';
/** No more polls than this bring nothing before the call is taken to have lost something. */
const MAX_IDLE_POLLS = 400;

/** What the network did, over all calls. */
const counts = {
  chunks: 0,
  chunksDropped: 0,
  chunksCutOff: 0,
  chunkAnswersLost: 0,
  chunksSentTwice: 0,
  chunksOutOfOrder: 0,
  chunksLongAfter: 0,
  polls: 0,
  pollsDropped: 0,
  pollsCutOff: 0,
  pollAnswersLost: 0,
  pollsSentTwice: 0,
  pollsLongAfter: 0,
};
/** Bytes that were compared. */
const compared = { up: 0, down: 0 };

let gateway: TestGateway;
const upstreams = new Map<string, SimulatorConnection>();

beforeAll(async () => {
  gateway = await startGateway({
    env: { SESSION_WORKERS: '2', DEFAULT_AGENT_REF: 'quiet', CALLER_HASH_KEY, FIRST_AUDIO_TIMEOUT_MS: '600000' },
    simulator: { mode: 'loopback', captureAudio: true },
    profiles: { quiet: QUIET_PROFILE },
    // Time is the machine's here, and no measure: what is early waits as long as it takes.
    overrides: { connectsPerSecond: 10_000, reorderWaitMs: 600_000 },
  });
  gateway.simulator.on('connection', (connection) => {
    upstreams.set(String(connection.request.headers['openai-safety-identifier']), connection);
  });
});
afterAll(() => gateway.stop());

// What the network does

/** What becomes of one attempt to send a chunk. Only `arrives` and `twice` bring the client its answer. */
const chunkFate = fc.oneof(
  { weight: 3, arbitrary: fc.constant('dropped' as const) },
  { weight: 2, arbitrary: fc.constant('cutOff' as const) },
  { weight: 3, arbitrary: fc.constant('answerLost' as const) },
);
const chunkPlan = fc.record({
  samples: fc.integer({ min: 1, max: 2400 }),
  lost: fc.array(chunkFate, { maxLength: 2, size: 'max' }),
  last: fc.constantFrom('arrives' as const, 'arrives' as const, 'twice' as const),
  how: fc.constantFrom('json' as const, 'json' as const, 'bare' as const, 'both' as const),
});
/**
 * Chunks on their way at the same time, in any order: with those that are lost, no more than the window has. Copies of
 * some that had arrived come after all of them.
 */
const burst = fc.array(chunkPlan, { minLength: 1, maxLength: 12 }).chain((chunks) =>
  fc.record({
    chunks: fc.constant(chunks),
    order: fc.shuffledSubarray([...chunks.keys()], { minLength: chunks.length }),
    longAfter: fc.subarray([...chunks.keys()], { maxLength: Math.min(3, chunks.length) }),
  }),
);
const pollPlan = fc.record({
  timeoutMs: fc.integer({ min: 0, max: 60 }),
  maxMs: fc.option(fc.integer({ min: 1, max: 600 }), { nil: undefined }),
  fate: fc.constantFrom('arrives', 'arrives', 'arrives', 'dropped', 'cutOff', 'unread', 'twice', 'longAfter'),
});
const callPlan = fc.record({
  encoding: fc.constantFrom('pcm16' as const, 'pcmu' as const, 'pcma' as const),
  bursts: fc.array(burst, { minLength: 1, maxLength: 3 }),
  polls: fc.array(pollPlan, { minLength: 1, maxLength: 20 }),
});
type CallPlan = typeof callPlan extends fc.Arbitrary<infer Plan> ? Plan : never;
type ChunkPlan = typeof chunkPlan extends fc.Arbitrary<infer Plan> ? Plan : never;

const CHUNK_COUNTS = { dropped: 'chunksDropped', cutOff: 'chunksCutOff', answerLost: 'chunkAnswersLost' } as const;
const POLL_COUNTS = {
  dropped: 'pollsDropped',
  cutOff: 'pollsCutOff',
  unread: 'pollAnswersLost',
  twice: 'pollsSentTwice',
  longAfter: 'pollsLongAfter',
} as const;

const SILENCE = { pcm16: 0, pcmu: 0xff, pcma: 0xd5 } as const;

/** The next samples of a call: none of them silence, and few of them alike nearby. */
function speech(encoding: CallPlan['encoding'], from: number, samples: number): Buffer {
  if (encoding === 'pcm16') {
    return Buffer.from(Int16Array.from({ length: samples }, (_, i) => ((from + i) % 32_767) + 1).buffer);
  }
  const bytes = Buffer.alloc(samples);
  for (let i = 0; i < samples; i++) {
    // 255 values, skipping that of silence.
    const value = (from + i + Math.floor((from + i) / 255)) % 255;
    bytes[i] = value >= SILENCE[encoding] ? value + 1 : value;
  }
  return bytes;
}

function withoutSilence(encoding: CallPlan['encoding'], bytes: Uint8Array): Buffer {
  if (encoding !== 'pcm16') return Buffer.from(bytes.filter((byte) => byte !== SILENCE[encoding]));
  return Buffer.from(new Int16Array(new Uint8Array(bytes).buffer).filter((sample) => sample !== 0).buffer);
}

function print(bytes: Uint8Array): string {
  return `${bytes.length} bytes, ${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}`;
}

/** Sends the first `bytes` of a request and breaks the connection: before, or as soon as, an answer begins. */
function breakOff(request: Buffer, bytes: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1');
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.on('data', () => socket.destroy());
    socket.write(request.subarray(0, bytes), () => {
      if (bytes < request.length) socket.destroy();
    });
  });
}

function requestText(method: string, path: string, body: Buffer, headers: Record<string, string>): Buffer {
  const lines = Object.entries({ host: 'localhost', 'content-length': String(body.length), ...headers });
  return Buffer.concat([
    Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`),
    body,
  ]);
}

// The client

/** A client that numbers and acknowledges, and believes an answer only if it was asked for what it still needs. */
class NumberingClient {
  readonly call: TestCall;
  readonly plan: CallPlan;
  readonly sent: Buffer[] = [];
  readonly heard: Buffer[] = [];
  #ack = -1;
  #samples = 0;
  #chunkSeq = 0;

  constructor(callId: string, plan: CallPlan) {
    this.call = new TestCall(gateway.url, callId);
    this.plan = plan;
  }

  /** Says everything, burst after burst. */
  async speak(): Promise<void> {
    for (const { chunks, order, longAfter } of this.plan.bursts) {
      const numbered = chunks.map((chunk) => {
        const bytes = speech(this.plan.encoding, this.#samples, chunk.samples);
        this.#samples += chunk.samples;
        this.sent.push(bytes);
        return { chunk, bytes, seq: this.#chunkSeq++ };
      });
      counts.chunksOutOfOrder += order.filter((index, place) => index !== place).length;
      await Promise.all(order.map((index) => this.#send(numbered[index]!)));
      counts.chunksLongAfter += longAfter.length;
      for (const index of longAfter) {
        const { bytes, seq } = numbered[index]!;
        const answer = await this.call.send({ audio: bytes.toString('base64'), chunkSeq: seq });
        expect(answer.body).toMatchObject({ status: 'streamed' });
      }
    }
  }

  async #send({ chunk, bytes, seq }: { chunk: ChunkPlan; bytes: Buffer; seq: number }): Promise<void> {
    const query = () => (chunk.how === 'both' ? `?poll=1&ack=${this.#ack}` : '');
    const path = `/api/voice/stream/${this.call.callId}`;
    const [body, headers] =
      chunk.how === 'bare'
        ? [bytes, { 'content-type': this.plan.encoding === 'pcm16' ? 'audio/pcm' : `audio/${this.plan.encoding}` }]
        : [
            Buffer.from(JSON.stringify({ audio: bytes.toString('base64'), chunkSeq: seq })),
            { 'content-type': 'application/json' },
          ];
    const numberedHeaders = chunk.how === 'bare' ? { ...headers, 'x-chunk-seq': String(seq) } : headers;
    const post = async () => {
      const asked = this.#ack;
      const answer = await http('POST', gateway.url + path + query(), body, numberedHeaders);
      expect(answer.body).toMatchObject({ status: 'streamed' });
      if (chunk.how === 'both') this.#take(asked, answer.body);
    };
    counts.chunks += 1;
    if (chunk.last === 'twice') counts.chunksSentTwice += 1;
    for (const fate of chunk.lost) {
      counts[CHUNK_COUNTS[fate]] += 1;
      if (fate === 'dropped') continue;
      const request = requestText('POST', path + query(), body, numberedHeaders);
      await breakOff(request, fate === 'cutOff' ? request.length - Math.ceil(body.length / 2) : request.length);
    }
    await Promise.all(chunk.last === 'twice' ? [post(), post()] : [post()]);
  }

  /** Polls until `isDone`. */
  async listen(isDone: () => boolean): Promise<void> {
    const { polls } = this.plan;
    let lastAck = -1;
    for (let count = 0, idle = 0; !isDone() && idle < MAX_IDLE_POLLS; count++) {
      const before = this.#ack;
      // When the plan is at its end the network is good: the last poll would otherwise never arrive.
      const { timeoutMs, maxMs, fate } = polls[count] ?? { timeoutMs: 50, maxMs: undefined, fate: 'arrives' };
      counts.polls += 1;
      if (fate !== 'arrives') counts[POLL_COUNTS[fate]] += 1;
      const pathOf = (ack: number) => {
        const query = `timeout=${timeoutMs}&ack=${ack}${maxMs === undefined ? '' : `&maxMs=${maxMs}`}`;
        return `/api/voice/stream/${this.call.callId}/response?${query}`;
      };
      const poll = async (ack = this.#ack) => {
        const answer = await http('GET', gateway.url + pathOf(ack));
        expect(answer.status).toBe(200);
        if (fate !== 'unread') this.#take(ack, answer.body);
      };
      // A copy of an earlier poll comes first: what it brings was asked for before, and is not looked at any more.
      if (fate === 'longAfter') await poll(lastAck);
      if (fate === 'cutOff') {
        await breakOff(requestText('GET', pathOf(this.#ack), Buffer.alloc(0), {}), Number.MAX_SAFE_INTEGER);
      } else if (fate !== 'dropped') await Promise.all(fate === 'twice' ? [poll(), poll()] : [poll()]);
      if (this.#ack !== before) lastAck = before;
      idle = this.#ack === before ? idle + 1 : 0;
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: a poll's or a stream's answer
  #take(asked: number, body: any): void {
    if (asked !== this.#ack) return;
    expect(body.hasMore).toBe(true);
    expect(body.seq).toBeGreaterThanOrEqual(asked);
    if (body.audio) this.heard.push(Buffer.from(body.audio, 'base64'));
    this.#ack = body.seq;
  }
}

/** Plays a call; what went wrong, if something did. */
async function play(plan: CallPlan, index: number): Promise<string | undefined> {
  const { encoding } = plan;
  const callerNumber = `39${index}`;
  const client = new NumberingClient(`property-${index}`, plan);
  const sampleRate = encoding === 'pcm16' ? 24_000 : 8000;
  const created = await client.call.create({ encoding, sampleRate, callerNumber });
  if (created.status !== 200) return `create answered ${created.status}: ${created.body.error}`;
  const upstream = upstreams.get(callerHash(CALLER_HASH_KEY, 'default', callerNumber)!)!;
  const said = { bytes: Number.POSITIVE_INFINITY };
  let heardBytes = 0;
  let counted = 0;
  const isDone = () => {
    for (; counted < client.heard.length; counted++)
      heardBytes += withoutSilence(encoding, client.heard[counted]!).length;
    return heardBytes >= said.bytes;
  };
  await Promise.all([
    client.speak().then(() => {
      said.bytes = client.sent.reduce((sum, { length }) => sum + length, 0);
    }),
    client.listen(isDone),
  ]);
  await client.call.end();
  const sent = Buffer.concat(client.sent);
  const received = Buffer.from(upstream.receivedAudio());
  const heard = Buffer.concat(client.heard);
  const wentUp = withoutSilence(encoding, received);
  if (!wentUp.equals(sent)) return `sent ${print(sent)}, but the upstream got ${print(wentUp)}`;
  if (!heard.equals(received.subarray(0, heard.length))) return 'what was heard is not what the upstream sent';
  const cameDown = withoutSilence(encoding, heard);
  compared.up += wentUp.length;
  compared.down += heard.length;
  return cameDown.equals(sent) ? undefined : `the upstream sent ${print(sent)} back, but ${print(cameDown)} was heard`;
}

it(`every sample arrives once and in order, both ways, over ${CALLS} calls`, async () => {
  const plans = fc.sample(callPlan, { numRuns: CALLS, seed: SEED });
  const chosen = [...plans.entries()].filter(([index]) => ONLY === undefined || index === Number(ONLY));
  const failures: string[] = [];
  const queue = chosen.values();
  await Promise.all(
    Array.from({ length: CONCURRENT_CALLS }, async () => {
      for (const [index, plan] of queue) {
        const failure = await play(plan, index);
        if (failure) failures.push(`PROPERTY_SEED=${SEED} PROPERTY_CALLS=${CALLS} PROPERTY_CALL=${index}: ${failure}`);
      }
    }),
  );
  const { up, down } = compared;
  console.log(`seed ${SEED}, ${chosen.length} calls, ${up} bytes up, ${down} down: ${JSON.stringify(counts)}`);
  expect(failures).toEqual([]);
  // Each of these has happened, and not just once.
  if (ONLY === undefined && CALLS >= 250)
    for (const [what, times] of Object.entries(counts)) expect(times, what).toBeGreaterThan(CALLS / 4);
  expect((await http('GET', `${gateway.url}/health`)).body.sessions).toBe(0);
}, 300_000);
