import { describe, expect, it } from 'vitest';
import {
  BusError,
  bidi,
  type CallContext,
  clientStream,
  defineService,
  type Implementation,
  type Sink,
  type Source,
  Status,
  serverStream,
} from '../../src/bus/index.ts';
import { Lab } from './support/lab.ts';
import { aborted, collect, connect, failure, startLabWorker } from './support/peers.ts';

const Streams = defineService('streams', {
  down: serverStream<unknown, unknown>({ window: 4 }),
  up: clientStream<unknown, unknown, string>({ window: 4 }),
  both: bidi<unknown, unknown>({ up: { window: 4 }, down: { window: 4 } }),
});

/** Serves `Streams` with these handlers, and with the simplest ones for the rest. */
function serve(handlers: Partial<Implementation<(typeof Streams)['methods']>>) {
  return connect(Streams, {
    down: (_request, sink) => sink.end(),
    up: () => undefined,
    both: (_request, _source, sink) => sink.end(),
    ...handlers,
  });
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);

describe('a server stream', () => {
  it('arrives whole and in order, iterated or handed to a function, from another thread', async () => {
    const lab = startLabWorker().peer.client(Lab);
    expect(await collect(lab.count(100))).toEqual(numbers(100));
    const seen: number[] = [];
    await lab.count(100).onItem((n) => seen.push(n));
    expect(seen).toEqual(numbers(100));
  });

  it('may be empty', async () => {
    expect(await collect(serve({}).client.down(null))).toEqual([]);
  });

  it('waits for a handler’s promise before it hands over the next item', async () => {
    const lab = startLabWorker().peer.client(Lab);
    const log: string[] = [];
    await lab.count(6).onItem(async (n) => {
      log.push(`start ${n}`);
      await new Promise(setImmediate);
      log.push(`end ${n}`);
    });
    expect(log).toEqual(numbers(6).flatMap((n) => [`start ${n}`, `end ${n}`]));
  });

  it('keeps what arrives before anybody looks', async () => {
    const { client, settled } = serve({
      down(_request, sink) {
        sink.write('a');
        sink.write('b');
        sink.end();
      },
    });
    const [iterated, handed] = [client.down(null), client.down(null)];
    await settled();
    expect(await collect(iterated)).toEqual(['a', 'b']);
    const seen: unknown[] = [];
    await handed.onItem((item) => seen.push(item));
    expect(seen).toEqual(['a', 'b']);
  });

  it('outlives its handler until it is ended', async () => {
    const sinks: Sink<unknown>[] = [];
    const { client, settled } = serve({ down: async (_request, sink) => void sinks.push(sink) });
    const call = client.down(null);
    const items = collect(call);
    await settled();
    sinks[0]?.write('late');
    await settled();
    sinks[0]?.end();
    expect(await items).toEqual(['late']);
  });

  it('ends with the handler’s error after the items that were sent before it', async () => {
    for (const end of [
      (sink: Sink<unknown>, error: Error) => sink.fail(error),
      (_sink: Sink<unknown>, error: Error) => Promise.reject(error),
      (_sink: Sink<unknown>, error: Error) => {
        throw error;
      },
    ]) {
      const { client, settled } = serve({
        down(_request, sink) {
          sink.write('a');
          return end(sink, new BusError(Status.Aborted, 'no more'));
        },
      });
      const call = client.down(null);
      await settled();
      const seen: unknown[] = [];
      const error = await failure(call.onItem((item) => seen.push(item)));
      expect([seen, error.code, error.message]).toEqual([['a'], Status.Aborted, 'no more']);
    }
  });

  it('fails the call when its item handler throws or rejects, and tells the server', async () => {
    for (const broken of [
      () => {
        throw new RangeError('cannot use this');
      },
      () => Promise.reject(new RangeError('cannot use this')),
    ]) {
      const contexts: CallContext[] = [];
      const { client, settled } = serve({
        down(_request, sink, context) {
          contexts.push(context);
          sink.write('a');
          sink.write('b');
        },
      });
      const error = await failure(client.down(null).onItem(broken));
      expect(error).toMatchObject({ code: Status.Unknown, message: 'cannot use this', cause: { name: 'RangeError' } });
      await settled();
      expect(contexts[0]?.signal.aborted).toBe(true);
    }
  });

  it('has one consumer', async () => {
    const { client } = serve({});
    const call = client.down(null);
    const done = call.onItem(() => {});
    expect(() => call.onItem(() => {})).toThrowError(expect.objectContaining({ code: Status.FailedPrecondition }));
    await expect(collect(call)).rejects.toMatchObject({ code: Status.FailedPrecondition });
    await done;
  });

  it('answers several outstanding next() calls in order', async () => {
    const sinks: Sink<unknown>[] = [];
    const { client, settled } = serve({ down: (_request, sink) => void sinks.push(sink) });
    const iterator = client.down(null)[Symbol.asyncIterator]();
    const results = [iterator.next(), iterator.next(), iterator.next()];
    await settled();
    sinks[0]?.write(1);
    sinks[0]?.write(2);
    sinks[0]?.end();
    expect(await Promise.all(results)).toEqual([
      { done: false, value: 1 },
      { done: false, value: 2 },
      { done: true, value: undefined },
    ]);
  });
});

describe('a client stream', () => {
  it('arrives whole and in order and is answered once', async () => {
    const lab = startLabWorker().peer.client(Lab);
    const call = lab.sum();
    for (const n of numbers(101)) {
      if (!call.sink.write(n)) await call.sink.ready();
    }
    call.sink.end();
    expect(await call.answer).toBe(5050);
  });

  it('opens with a request', async () => {
    const { client } = serve({ up: async (request, source) => [request, ...(await collect(source))] });
    const call = client.up('session-1');
    call.sink.write('a');
    call.sink.end();
    expect(await call.answer).toEqual(['session-1', 'a']);
  });

  it('may be answered before its end, after which writing has no effect', async () => {
    const { client, settled, right } = serve({
      async up(_request, source) {
        for await (const item of source) return item;
        return 'nothing';
      },
    });
    const call = client.up('');
    for (const n of numbers(20)) call.sink.write(n);
    expect(await call.answer).toBe(0);
    expect([call.sink.closed, call.sink.queued, call.sink.write(21)]).toEqual([true, 0, false]);
    expect(await failure(call.sink.ready())).toMatchObject({ code: Status.Cancelled });
    await settled();
    expect(right.servedCalls).toBe(0);
  });

  it('fails with the handler’s error, whichever way the handler reads', async () => {
    for (const up of [
      () => Promise.reject(new BusError(Status.OutOfRange, 'too much')),
      (_request: string, source: Source<unknown>) =>
        source.onItem(() => {
          throw new BusError(Status.OutOfRange, 'too much');
        }),
    ]) {
      const call = serve({ up }).client.up('');
      call.sink.write(1);
      expect(await failure(call.answer)).toMatchObject({ code: Status.OutOfRange, message: 'too much' });
      expect(await failure(call.sink.ready())).toMatchObject({ code: Status.OutOfRange });
    }
  });

  it('can be failed by its writer: here at once, and at the server as a cancellation', async () => {
    const contexts: CallContext[] = [];
    const { client, settled } = serve({
      up(_request, _source, context) {
        contexts.push(context);
        return new Promise(() => {});
      },
    });
    const call = client.up('');
    await settled();
    call.sink.fail(new BusError(Status.DataLoss, 'the microphone broke'));
    expect(await failure(call.answer)).toMatchObject({ code: Status.DataLoss });
    expect(await aborted(contexts[0]!.signal)).toMatchObject({ message: 'the microphone broke' });
  });

  it('refuses items after its end', () => {
    const { sink } = serve({}).client.up('');
    sink.end();
    sink.end();
    expect(() => sink.write(1)).toThrowError(expect.objectContaining({ code: Status.FailedPrecondition }));
  });
});

describe('a stream both ways', () => {
  it('carries both directions at once', async () => {
    const lab = startLabWorker().peer.client(Lab);
    const call = lab.double();
    const doubled = collect(call);
    for (const n of numbers(100)) {
      if (!call.sink.write(n)) await call.sink.ready();
    }
    call.sink.end();
    expect(await doubled).toEqual(numbers(100).map((n) => 2 * n));
  });

  it('is over when the server ends it, and the server’s reader ends quietly', async () => {
    const read: Promise<unknown>[] = [];
    const { client, settled, right } = serve({
      both(_request, source, sink) {
        read.push(collect(source));
        sink.write('hello');
        sink.end();
      },
    });
    const call = client.both();
    expect(await collect(call)).toEqual(['hello']);
    expect(call.sink.closed).toBe(true);
    await settled();
    expect(await read[0]).toEqual([]);
    expect(right.servedCalls).toBe(0);
  });
});

describe('items', () => {
  it('are moved when they come with a transfer list, in both directions', async () => {
    const sent: Uint8Array[] = [];
    const { client } = serve({
      async both(_request, source, sink) {
        for await (const item of source) {
          const bytes = item as Uint8Array<ArrayBuffer>;
          sent.push(bytes);
          sink.write(bytes, [bytes.buffer]);
        }
        sink.end();
      },
    });
    const call = client.both();
    const back = collect(call);
    // More than the window, so that some are moved when they are written and some when credit comes.
    const buffers = numbers(10).map((n) => new Uint8Array(16).fill(n));
    for (const bytes of buffers) call.sink.write(bytes, [bytes.buffer]);
    call.sink.end();
    expect(await back).toEqual(numbers(10).map((n) => new Uint8Array(16).fill(n)));
    expect([...buffers, ...sent].map((bytes) => bytes.byteLength)).toEqual(Array.from({ length: 20 }, () => 0));
  });

  it('that cannot be cloned fail their call at both ends and nothing else', async () => {
    const contexts: CallContext[] = [];
    const { client, settled, left, right } = serve({
      up(_request, source, context) {
        contexts.push(context);
        return source.onItem(() => {});
      },
      down(_request, sink, context) {
        contexts.push(context);
        for (const n of numbers(6)) sink.write(n);
        sink.write(() => {}); // queued: found out when its turn comes
        sink.write('never sent');
      },
    });
    const up = client.up('');
    await settled();
    expect(up.sink.write(() => {})).toBe(false);
    expect(await failure(up.answer)).toMatchObject({ code: Status.InvalidArgument, cause: { name: 'DataCloneError' } });

    const seen: unknown[] = [];
    const error = await failure(client.down(null).onItem((item) => seen.push(item)));
    expect(error).toMatchObject({ code: Status.Internal, cause: { name: 'DataCloneError' } });
    expect(seen).toEqual(numbers(6));

    await settled();
    expect(contexts.map(({ signal }) => signal.aborted)).toEqual([true, true]);
    expect([left.pendingCalls, right.servedCalls, left.isClosed]).toEqual([0, 0, false]);
  });
});
