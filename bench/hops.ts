/** One chunk's way up and one delta's way down, hop by hop, each hop alone. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { FastifySchemaValidationError } from 'fastify';
import { WebSocket } from 'ws';
import { Outbox } from '../src/call/reply/outbox.ts';
import { StreamAnswer, StreamBody } from '../src/http/schemas.ts';
import { validatorCompiler } from '../src/http/validation.ts';
import { parseServerEvent } from '../src/realtime/server-events.ts';
import { downlinkJob } from '../src/workers/audio/downlink-job.ts';
import type { BusResult } from './bus.ts';
import type { HttpResult } from './http.ts';
import type { PoolResult } from './pool.ts';
import { type Cost, compare, markdownTable, us } from './support/measure.ts';
import { appendEvent, CALL, chunkBody, deltaBase64, deltaEvent, UPSTREAM } from './support/samples.ts';

/** A step on the way, and what it costs one chunk or delta. */
export interface Hop {
  readonly hop: string;
  readonly thread: 'main' | 'pool' | 'session worker' | 'both';
  readonly cpuUs: number;
  /** The same where ten calls' chunks come together; absent: it makes no difference. */
  readonly togetherUs?: number;
  /** Part of the hop before it. */
  readonly isPart?: true;
}

export interface HopResults {
  readonly up: readonly Hop[];
  readonly down: readonly Hop[];
}

const COUNT = 20_000;

/** Hops that can be taken in this thread. */
interface InlineCosts {
  readonly jsonParse: Cost;
  readonly validate: Cost;
  readonly parseEvent: Cost;
  readonly outbox: Cost;
  readonly stringify: Cost;
}

async function inlineCosts(): Promise<InlineCosts> {
  const validate = validatorCompiler({ schema: StreamBody, method: 'POST', url: '', httpPart: 'body' }) as (
    value: unknown,
  ) => true | { value: unknown } | { error: FastifySchemaValidationError[] };
  const body: unknown = JSON.parse(chunkBody);
  if (validate(body) !== true) throw new Error("the benchmark's chunk does not fit the schema");
  const job = { kind: 'down', call: CALL, upstream: UPSTREAM, state: undefined, inputs: [deltaBase64] } as const;
  const output = downlinkJob(job).outputs[0] as { base64: string; frameCount: number };
  const length = output.base64.length / output.frameCount;
  const frames = Array.from({ length: output.frameCount }, (_, i) => ({
    base64: output.base64.slice(i * length, (i + 1) * length),
    frameMs: 60,
    audioMs: 60,
  }));
  const outbox = new Outbox({ wake: () => {} }, { onDelivered: () => {} });
  const answer = { status: 'streamed', audio: output.base64, seq: 7, generation: 0, hasMore: true };
  const serialize = await serializer();
  const costs = await compare(
    [
      repeat('jsonParse', () => JSON.parse(chunkBody)),
      repeat('validate', () => validate(body)),
      repeat('parseEvent', () => parseServerEvent(deltaEvent)),
      repeat('outbox', () => {
        outbox.pushAudio('item', frames, 0, CALL);
        outbox.take({}).written();
        outbox.acknowledge(undefined);
      }),
      repeat('stringify', () => serialize(answer)),
    ],
    { count: COUNT },
  );
  return Object.fromEntries(costs) as unknown as InlineCosts;
}

/** What Fastify makes of the route's answer schema. */
async function serializer(): Promise<(value: unknown) => string> {
  const { fastify } = await import('fastify');
  const app = fastify();
  app.post('/', { schema: { response: { 200: StreamAnswer } } }, (_request, reply) =>
    reply.send({ status: 'streamed', generation: 0 }),
  );
  let serialize: ((value: unknown) => string) | undefined;
  app.addHook('onRequest', async (_request, reply) => {
    serialize = reply.getSerializationFunction('200') as (value: unknown) => string;
  });
  await app.inject({ method: 'POST', url: '/' });
  await app.close();
  return serialize!;
}

function repeat(name: string, once: () => unknown) {
  return {
    name,
    run(count: number) {
      for (let i = 0; i < count; i++) once();
    },
  };
}

/** Writing to and reading from an upstream socket: the CPU of this thread. */
async function socketCosts(): Promise<{ write: Cost; read: Cost }> {
  const worker = new Worker(new URL('./support/socket-server.ts', import.meta.url), {
    workerData: { event: deltaEvent },
  });
  const [port] = (await once(worker, 'message')) as [number];
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false, skipUTF8Validation: true });
  await once(socket, 'open');
  try {
    const costs = await compare(
      [
        {
          name: 'write',
          async run(count) {
            socket.send(`expect ${count}`);
            const all = once(socket, 'message');
            for (let i = 0; i < count; i++) {
              socket.send(appendEvent, { binary: false });
              // A frame a turn, as calls send them: not one system call for all of them.
              await new Promise(setImmediate);
            }
            await all;
          },
        },
        {
          name: 'read',
          async run(count) {
            let left = count;
            const { promise, resolve } = Promise.withResolvers<void>();
            const onMessage = (data: Buffer) => {
              data.toString('utf8');
              left -= 1;
              if (left === 0) resolve();
            };
            socket.on('message', onMessage);
            socket.send(`send ${count}`);
            await promise;
            socket.off('message', onMessage);
          },
        },
      ],
      { count: 500 },
    );
    return { write: costs.get('write')!, read: costs.get('read')! };
  } finally {
    socket.terminate();
    await worker.terminate();
  }
}

/** Puts the hops together, with what the other benchmarks of this run measured. */
export async function benchHops(
  bus: readonly BusResult[],
  pool: readonly PoolResult[],
  http: HttpResult,
): Promise<HopResults> {
  const inline = await inlineCosts();
  const socket = await socketCosts();
  const cpu = (what: string) => {
    const found = pool.find((result) => result.what.startsWith(what));
    if (!found) throw new Error(`the pool benchmark has no "${what}"`);
    return found.cost.cpuUs!;
  };
  const busUp = bus.find(({ what }) => what.startsWith('stream up'))!.bus.cpuUs!;
  const busDown = bus.find(({ what }) => what.startsWith('stream down'))!.bus.cpuUs!;
  const workUp = cpu('chunk of 100 ms: the work alone');
  const workDown = cpu('delta of 200 ms: the work alone');
  const handOver = (what: string, work: number) => ({
    hop: 'pool hand-over, there and back',
    thread: 'both' as const,
    cpuUs: cpu(`${what} through the pool, alone`) - work,
    togetherUs: cpu(`${what} through the pool, of`) - work,
  });
  const [bare, ours, withAudio] = http.servers.map((server) => server.cpuUs) as [number, number, number];
  return {
    up: [
      { hop: 'HTTP: bare Fastify route with the same body', thread: 'main', cpuUs: bare },
      { hop: 'JSON.parse of the body', thread: 'main', cpuUs: inline.jsonParse.cpuUs!, isPart: true },
      { hop: 'our routes: key, schema, hooks, metrics', thread: 'main', cpuUs: ours - bare },
      { hop: 'the body against its schema', thread: 'main', cpuUs: inline.validate.cpuUs!, isPart: true },
      handOver('chunk of 100 ms', workUp),
      { hop: 'base64, PCM16, resampler, append event', thread: 'pool', cpuUs: workUp },
      { hop: 'bus to the session worker', thread: 'both', cpuUs: busUp },
      { hop: 'socket write', thread: 'session worker', cpuUs: socket.write.threadUs! },
    ],
    down: [
      { hop: 'socket read', thread: 'session worker', cpuUs: socket.read.threadUs! },
      { hop: 'JSON.parse of the event', thread: 'session worker', cpuUs: inline.parseEvent.cpuUs! },
      { hop: 'bus to the main thread', thread: 'both', cpuUs: busDown },
      handOver('delta of 200 ms', workDown),
      { hop: 'base64, resampler, frames, base64', thread: 'pool', cpuUs: workDown },
      { hop: 'outbox, in and out', thread: 'main', cpuUs: inline.outbox.cpuUs! },
      { hop: 'the answer carries audio', thread: 'main', cpuUs: withAudio - ours },
      { hop: 'JSON of the answer', thread: 'main', cpuUs: inline.stringify.cpuUs!, isPart: true },
    ],
  };
}

export function hopsMarkdown({ up, down }: HopResults): string {
  const table = (title: string, hops: readonly Hop[]) => {
    const whole = hops.filter(({ isPart }) => !isPart);
    const alone = whole.reduce((sum, { cpuUs }) => sum + cpuUs, 0);
    const together = whole.reduce((sum, { cpuUs, togetherUs }) => sum + (togetherUs ?? cpuUs), 0);
    return markdownTable(
      [title, 'thread', 'alone, CPU µs', 'of ten together, CPU µs'],
      [
        ...hops.map(({ hop, thread, cpuUs, togetherUs, isPart }) =>
          isPart ? [`— of it ${hop}`, thread, us(cpuUs), ''] : [hop, thread, us(cpuUs), us(togetherUs ?? cpuUs)],
        ),
        ['**sum**', '', `**${us(alone)}**`, `**${us(together)}**`],
      ],
    );
  };
  return [table('one chunk of 100 ms, up', up), '', table('one delta of 200 ms, down', down)].join('\n');
}
