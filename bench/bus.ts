/** The bus against a bare MessagePort, to a worker thread and back. */
import { once } from 'node:events';
import { type MessagePort, Worker } from 'node:worker_threads';
import { BusPeer, type Client } from '../src/bus/index.ts';
import { EchoService } from './support/echo-service.ts';
import { type Cost, compare, markdownTable, times, us } from './support/measure.ts';
import { appendEvent } from './support/samples.ts';

export interface BusResult {
  readonly what: string;
  readonly bare: Cost;
  readonly bus: Cost;
  /** Elapsed time on the bus, in elapsed times of the bare port. */
  readonly ratio: number;
}

/** Items of a stream in one round. */
const STREAMED = 2_000;
const ROUND_TRIPS = 2_000;

export async function benchBus(): Promise<BusResult[]> {
  const bare = new MessageChannel();
  const bus = new MessageChannel();
  const worker = new Worker(new URL('./support/echo-worker.ts', import.meta.url), {
    workerData: { bare: bare.port2, bus: bus.port2 },
    transferList: [bare.port2, bus.port2],
  });
  const port = bare.port1 as unknown as MessagePort;
  const peer = new BusPeer(bus.port1 as unknown as MessagePort);
  const client = peer.client(EchoService);
  try {
    await client.echo('ready');
    const results: BusResult[] = [];
    for (const [what, item] of [
      ['unary round trip, a few bytes', 'hello'],
      [`unary round trip, ${kilobytes(appendEvent)}`, appendEvent],
    ] as const) {
      results.push(await roundTrips(what, port, client, item));
    }
    results.push(await uplink(port, client));
    results.push(await downlink(port, client));
    return results;
  } finally {
    peer.close();
    port.close();
    await worker.terminate();
  }
}

type EchoClient = Client<(typeof EchoService)['methods']>;

function kilobytes(text: string): string {
  return `${(text.length / 1000).toFixed(1)} kB`;
}

async function roundTrips(what: string, port: MessagePort, client: EchoClient, item: string): Promise<BusResult> {
  const answered = listener(port);
  return result(what, ROUND_TRIPS, {
    async bare(count) {
      for (let i = 0; i < count; i++) {
        const answer = answered.next();
        port.postMessage(item);
        await answer;
      }
    },
    async bus(count) {
      for (let i = 0; i < count; i++) await client.echo(item);
    },
  }).finally(() => answered.close());
}

async function uplink(port: MessagePort, client: EchoClient): Promise<BusResult> {
  return result(`stream up, an item of ${kilobytes(appendEvent)}`, STREAMED, {
    async bare(count) {
      port.postMessage({ expect: count });
      for (let i = 0; i < count; i++) port.postMessage(appendEvent);
      await once(port, 'message');
    },
    async bus(count) {
      const { sink, answer } = client.up();
      for (let i = 0; i < count; i++) if (!sink.write(appendEvent)) await sink.ready();
      sink.end();
      await answer;
    },
  });
}

async function downlink(port: MessagePort, client: EchoClient): Promise<BusResult> {
  return result(`stream down, an item of ${kilobytes(appendEvent)}`, STREAMED, {
    async bare(count) {
      let left = count;
      const { promise, resolve } = Promise.withResolvers<void>();
      const onMessage = () => {
        left -= 1;
        if (left === 0) resolve();
      };
      port.on('message', onMessage);
      port.postMessage({ send: count, item: appendEvent });
      await promise;
      port.off('message', onMessage);
    },
    async bus(count) {
      await client.down({ count, item: appendEvent }).onItem(() => {});
    },
  });
}

async function result(
  what: string,
  count: number,
  { bare, bus }: { bare: (count: number) => Promise<void>; bus: (count: number) => Promise<void> },
): Promise<BusResult> {
  const costs = await compare(
    [
      { name: 'bare', run: bare },
      { name: 'bus', run: bus },
    ],
    { count },
  );
  const [ofBare, ofBus] = [costs.get('bare')!, costs.get('bus')!];
  return { what, bare: ofBare, bus: ofBus, ratio: ofBus.wallUs / ofBare.wallUs };
}

/** Answers of a port, one at a time. */
function listener(port: MessagePort): { next(): Promise<void>; close(): void } {
  let resolve: () => void = () => {};
  const onMessage = () => resolve();
  port.on('message', onMessage);
  return {
    next: () =>
      new Promise((done) => {
        resolve = done;
      }),
    close: () => port.off('message', onMessage),
  };
}

export function busMarkdown(results: readonly BusResult[]): string {
  return markdownTable(
    ['between two threads', 'MessagePort, µs', 'bus, µs', 'ratio', 'MessagePort, CPU µs', 'bus, CPU µs'],
    results.map(({ what, bare, bus, ratio }) => [
      what,
      us(bare.wallUs),
      us(bus.wallUs),
      times(ratio),
      us(bare.cpuUs),
      us(bus.cpuUs),
    ]),
  );
}

if (import.meta.main) console.log(busMarkdown(await benchBus()));
