import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fifo } from '../../src/bus/fifo.ts';
import { BusError, clientStream, defineService, type Sink, Status, serverStream } from '../../src/bus/index.ts';
import { connect, failure } from './support/peers.ts';

interface Weighty {
  ms: number;
}

const Flow = defineService('flow', {
  down: serverStream<void, number>({ window: 4 }),
  weighed: serverStream<void, Weighty>({ window: 100, weigh: ({ ms }) => ms }),
  control: serverStream<void, string>({ window: Infinity }),
  up: clientStream<number, number>({ window: 4 }),
});

/** Serves `Flow`; the sinks of its calls are written to by the test. */
function serveFlow() {
  const sinks: { down: Sink<number>[]; weighed: Sink<Weighty>[]; control: Sink<string>[] } = {
    down: [],
    weighed: [],
    control: [],
  };
  const consumed: number[] = [];
  const gates: (() => void)[] = [];
  const peers = connect(Flow, {
    down: (_request, sink) => void sinks.down.push(sink),
    weighed: (_request, sink) => void sinks.weighed.push(sink),
    control: (_request, sink) => void sinks.control.push(sink),
    async up(_request, source) {
      // Consumes one item for each gate that the test opens.
      await source.onItem(async (n) => {
        await new Promise<void>((resolve) => gates.push(resolve));
        consumed.push(n);
      });
      return consumed.length;
    },
  });
  return { ...peers, sinks, consumed, gates };
}

describe('credit', () => {
  it('bounds what a slow reader has not consumed, and what it has not is queued at the writer', async () => {
    const { client, sinks, settled } = serveFlow();
    const call = client.down();
    await settled();
    const sink = sinks.down[0]!;
    const written = Array.from({ length: 20 }, (_, n) => sink.write(n));
    expect(written).toEqual([true, true, true, true, ...Array.from({ length: 16 }, () => false)]);
    expect([sink.queued, sink.bufferedWeight]).toEqual([16, 16]);

    const iterator = call[Symbol.asyncIterator]();
    let mostInFlight = 0;
    for (let n = 0; n < 20; n += 1) {
      // What was sent and not yet come back for, this item included.
      await settled();
      mostInFlight = Math.max(mostInFlight, 20 - sink.queued - n);
      expect(await iterator.next()).toEqual({ done: false, value: n });
    }
    expect(mostInFlight).toBe(4);
    expect([sink.queued, sink.bufferedWeight]).toEqual([0, 0]);
    sink.end();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('holds for a handler that returns promises, in the client’s direction too', async () => {
    const { client, consumed, gates, settled } = serveFlow();
    const call = client.up();
    for (let n = 0; n < 12; n += 1) call.sink.write(n);
    call.sink.end();
    let mostInFlight = 0;
    while (consumed.length < 12) {
      await settled();
      mostInFlight = Math.max(mostInFlight, 12 - call.sink.queued - consumed.length);
      gates.shift()?.();
    }
    expect(mostInFlight).toBe(4);
    expect(consumed).toEqual(Array.from({ length: 12 }, (_, n) => n));
    expect(await call.answer).toBe(12);
  });

  it('counts weight where the definition weighs, and lets one item overdraw it', async () => {
    const { client, sinks, settled } = serveFlow();
    const call = client.weighed();
    await settled();
    const sink = sinks.weighed[0]!;
    // 60 leaves 40 of the window; 90 may overdraw it; the rest waits.
    const weights = [60, 90, 10.1, 500.2, 0, 20];
    expect(weights.map((ms) => sink.write({ ms }))).toEqual([true, true, false, false, false, false]);
    expect(sink.queued).toBe(4);
    expect(sink.bufferedWeight).toBeCloseTo(530.3);
    sink.end();
    const seen: number[] = [];
    await call.onItem(({ ms }) => seen.push(ms));
    expect(seen).toEqual(weights);
    expect([sink.queued, sink.bufferedWeight]).toEqual([0, 0]);
  });

  it('refuses weights that make no sense', async () => {
    const { client, sinks, settled } = serveFlow();
    client.weighed();
    await settled();
    for (const ms of [-1, Number.NaN, Infinity]) {
      expect(() => sinks.weighed[0]?.write({ ms })).toThrowError(
        expect.objectContaining({ code: Status.InvalidArgument }),
      );
    }
  });

  it('is not returned once nobody can use it', async () => {
    const { client, sinks, settled, right } = serveFlow();
    const call = client.down();
    await settled();
    for (let n = 0; n < 4; n += 1) sinks.down[0]?.write(n);
    sinks.down[0]?.end();
    await settled();
    await call.onItem(() => {});
    await settled();
    expect(right.lateFrames).toBe(0);
  });

  it('can be set for one call, and must be above 0', async () => {
    const { client, sinks, settled } = serveFlow();
    client.down(undefined, { window: 2 });
    client.down(undefined, { window: Infinity });
    await settled();
    const sentAtOnce = sinks.down.map((sink) => Array.from({ length: 50 }, () => sink.write(0)).filter(Boolean).length);
    expect(sentAtOnce).toEqual([2, 50]);

    const { sink } = client.up(undefined, { window: 1 });
    expect([sink.write(1), sink.write(2)]).toEqual([true, false]);

    for (const window of [0, -1, Number.NaN]) {
      expect(await failure(client.down(undefined, { window }).onItem(() => {}))).toMatchObject({
        code: Status.InvalidArgument,
      });
      expect(() => serverStream({ window })).toThrowError(BusError);
    }
  });
});

describe('a queue', () => {
  it('returns what was put into it, in order, whatever comes between', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: -100, max: -1 }))), (steps) => {
        const queue = new Fifo<number>();
        let [next, oldest] = [0, 0];
        for (const step of steps) {
          for (let i = 0; i < step; i += 1) queue.push(next++);
          for (let i = 0; i < -step; i += 1) expect(queue.shift()).toBe(oldest < next ? oldest++ : undefined);
          expect(queue.length).toBe(next - oldest);
        }
      }),
    );
  });
});

describe('a starved stream', () => {
  it('delays neither the control stream beside it nor another stream of its kind', async () => {
    const { client, sinks, settled } = serveFlow();
    const starved = client.down(); // nobody reads it
    const control = client.control();
    const other = client.down();
    const [events, items]: [string[], number[]] = [[], []];
    const controlDone = control.onItem((event) => events.push(event));
    const otherDone = other.onItem((n) => items.push(n));
    await settled();
    const [starvedSink, otherSink] = sinks.down;
    for (let n = 0; n < 1000; n += 1) starvedSink?.write(n);
    for (let n = 0; n < 100; n += 1) {
      sinks.control[0]?.write(`event ${n}`);
      otherSink?.write(n);
    }
    sinks.control[0]?.end();
    otherSink?.end();
    await Promise.all([controlDone, otherDone]);
    expect([events.length, items.length, starvedSink?.queued]).toEqual([100, 100, 996]);
    starved.cancel();
    await settled();
    expect([starvedSink?.queued, starvedSink?.closed]).toEqual([0, true]);
  });
});

describe('a sink', () => {
  it('is ready when nothing is queued and credit is left, not before', async () => {
    const { client, sinks, settled } = serveFlow();
    const call = client.down();
    await settled();
    const sink = sinks.down[0]!;
    await sink.ready();
    for (let n = 0; n < 8; n += 1) sink.write(n);
    let ready = 0;
    const waits = [sink.ready(), sink.ready()].map((wait) => wait.then(() => ++ready));
    const iterator = call[Symbol.asyncIterator]();
    // Five consumed items return four credits, which the queued four use up; the seventh brings some to spare.
    for (let n = 0; n < 6; n += 1) await iterator.next();
    await settled();
    expect([ready, sink.queued]).toEqual([0, 0]);
    await iterator.next();
    await Promise.all(waits);
    expect(ready).toBe(2);
    expect(sink.write(8)).toBe(true);
  });

  it('sends what is queued before it ends', async () => {
    const { client, sinks, settled } = serveFlow();
    const call = client.down();
    await settled();
    const sink = sinks.down[0]!;
    for (let n = 0; n < 10; n += 1) sink.write(n);
    sink.end();
    expect([sink.queued, sink.closed]).toEqual([6, false]);
    const seen: number[] = [];
    await call.onItem((n) => seen.push(n));
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(sink.closed).toBe(true);
  });

  it('drops what is queued when asked to, or when it fails', async () => {
    const { client, sinks, settled } = serveFlow();
    const [discarding, ending, failing] = [client.down(), client.down(), client.down()];
    await settled();
    for (const sink of sinks.down) for (let n = 0; n < 10; n += 1) sink.write(n);

    expect(sinks.down[0]?.discardQueued()).toBe(6);
    expect([sinks.down[0]?.queued, sinks.down[0]?.bufferedWeight]).toEqual([0, 0]);
    const seen: number[] = [];
    const discarded = discarding.onItem((n) => seen.push(n));
    await settled();
    sinks.down[0]?.write(100);
    sinks.down[0]?.end();
    await discarded;
    expect(seen).toEqual([0, 1, 2, 3, 100]);

    // An end that waited for the queue comes when there is none any more.
    sinks.down[1]?.end();
    expect(sinks.down[1]?.closed).toBe(false);
    sinks.down[1]?.discardQueued();
    expect(sinks.down[1]?.closed).toBe(true);
    const ended: number[] = [];
    await ending.onItem((n) => ended.push(n));
    expect(ended).toEqual([0, 1, 2, 3]);

    sinks.down[2]?.fail(new BusError(Status.Aborted, 'enough'));
    const failed: number[] = [];
    expect(await failure(failing.onItem((n) => failed.push(n)))).toMatchObject({ code: Status.Aborted });
    expect(failed).toEqual([0, 1, 2, 3]);
  });
});
