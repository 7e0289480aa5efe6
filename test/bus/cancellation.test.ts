import { describe, expect, it } from 'vitest';
import {
  bidi,
  type CallContext,
  clientStream,
  defineService,
  Status,
  serverStream,
  unary,
} from '../../src/bus/index.ts';
import { aborted, connect, failure } from './support/peers.ts';

const Open = defineService('open', {
  one: unary<void, string>(),
  down: serverStream<void, number>({ window: 4 }),
  up: clientStream<number, never>({ window: 4 }),
  both: bidi<number, number>(),
});

/** Serves calls that never end by themselves; `finish` answers the unary ones, in order. */
function serveOpen() {
  const contexts: CallContext[] = [];
  const answers: ((answer: string) => void)[] = [];
  const sources: Promise<void>[] = [];
  const peers = connect(Open, {
    one(_request, context) {
      contexts.push(context);
      return new Promise((resolve) => answers.push(resolve));
    },
    down(_request, sink, context) {
      contexts.push(context);
      for (let n = 0; n < 10; n += 1) sink.write(n);
    },
    up(_request, source, context) {
      contexts.push(context);
      sources.push(source.onItem(() => {}));
      return new Promise<never>(() => {});
    },
    both(_request, source, _sink, context) {
      contexts.push(context);
      sources.push(source.onItem(() => {}));
    },
  });
  return { ...peers, contexts, answers, sources };
}

describe('cancelling', () => {
  it('settles a unary call at once, aborts its handler and drops the late answer', async () => {
    const { client, contexts, answers, left, right, settled } = serveOpen();
    const call = client.one();
    await settled();
    const { signal } = contexts[0]!;
    call.cancel('changed my mind');
    call.cancel('twice');
    expect(left.pendingCalls).toBe(0);
    expect(await failure(call)).toMatchObject({
      code: Status.Cancelled,
      message: expect.stringContaining('changed my mind'),
      cause: 'changed my mind',
    });
    expect(await aborted(signal)).toMatchObject({
      code: Status.Cancelled,
      message: expect.stringContaining('changed my mind'),
    });
    answers[0]?.('too late');
    await settled();
    expect([right.servedCalls, left.lateFrames]).toEqual([0, 0]);
  });

  it('drops an answer that crossed the cancellation, and counts it', async () => {
    const { client, answers, left, settled } = serveOpen();
    const call = client.one();
    await settled();
    answers[0]?.('crosses');
    await null; // the answer is on its way when the call is given up
    call.cancel();
    expect(await failure(call)).toMatchObject({ code: Status.Cancelled });
    await settled();
    expect(left.lateFrames).toBe(1);
  });

  it('works by signal, with its reason as the cause', async () => {
    const { client, contexts, settled } = serveOpen();
    const controller = new AbortController();
    const calls = [
      client.one(undefined, { signal: controller.signal }),
      client.down(undefined, { signal: controller.signal }).onItem(() => {}),
      client.up(undefined, { signal: controller.signal }).answer,
      client.both(undefined, { signal: controller.signal }).onItem(() => {}),
    ];
    await settled();
    const reason = new Error('the caller hung up');
    controller.abort(reason);
    for (const call of calls) expect(await failure(call)).toMatchObject({ code: Status.Cancelled, cause: reason });
    await settled();
    expect(contexts.map(({ signal }) => signal.aborted)).toEqual([true, true, true, true]);
  });

  it('by a signal that timed out is DEADLINE_EXCEEDED', async () => {
    const { client } = serveOpen();
    const error = await failure(client.one(undefined, { signal: AbortSignal.timeout(10) }));
    expect(error).toMatchObject({ code: Status.DeadlineExceeded, cause: { name: 'TimeoutError' } });
  });

  it('by a signal aborted before sends nothing', async () => {
    const { client, contexts, settled } = serveOpen();
    const error = await failure(client.one(undefined, { signal: AbortSignal.abort() }));
    expect(error).toMatchObject({ code: Status.Cancelled, cause: { name: 'AbortError' } });
    await settled();
    expect(contexts).toEqual([]);
  });

  it('leaves no listener on a signal once the call is over', async () => {
    const { client, answers, settled } = serveOpen();
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    Object.assign(signal, {
      addEventListener(...args: Parameters<typeof addEventListener>) {
        listeners += 1;
        addEventListener.apply(signal, args);
      },
      removeEventListener(...args: Parameters<typeof removeEventListener>) {
        listeners -= 1;
        removeEventListener.apply(signal, args);
      },
    });
    const call = client.one(undefined, { signal });
    expect(listeners).toBe(1);
    await settled();
    answers[0]?.('done');
    expect(await call).toBe('done');
    expect(listeners).toBe(0);
  });

  it('passes from a parent call to the calls made for it', async () => {
    const Inner = defineService('inner', { hang: unary<void, never>() });
    const inner = Promise.withResolvers<unknown>();
    const { left, right, client, settled } = connect(Open, {
      one(_request, context) {
        right.client(Inner).hang(undefined, { parent: context }).catch(inner.resolve);
        return new Promise<never>(() => {});
      },
      down() {},
      up: () => new Promise<never>(() => {}),
      both() {},
    });
    const contexts: CallContext[] = [];
    left.serve(Inner, {
      hang(_request, context) {
        contexts.push(context);
        return new Promise<never>(() => {});
      },
    });
    const call = client.one();
    await settled();
    call.cancel();
    await failure(call);
    expect(await inner.promise).toMatchObject({ code: Status.Cancelled });
    await settled();
    expect(await aborted(contexts[0]!.signal)).toMatchObject({ code: Status.Cancelled });
  });

  it('ends streams at both ends, dropping what was not consumed', async () => {
    const { client, contexts, sources, settled, left, right } = serveOpen();
    const [down, up, both] = [client.down(), client.up(), client.both()];
    await settled();
    for (let n = 0; n < 10; n += 1) up.sink.write(n);
    const ready = failure(up.sink.ready());
    down.cancel();
    up.cancel();
    both.cancel();
    const seen: number[] = [];
    expect(await failure(down.onItem((n) => seen.push(n)))).toMatchObject({ code: Status.Cancelled });
    expect(seen).toEqual([]);
    expect(await failure(up.answer)).toMatchObject({ code: Status.Cancelled });
    expect(await ready).toMatchObject({ code: Status.Cancelled });
    expect([up.sink.queued, up.sink.closed, both.sink.closed]).toEqual([0, true, true]);
    await settled();
    for (const source of sources) expect(await failure(source)).toMatchObject({ code: Status.Cancelled });
    expect(contexts.map(({ signal }) => signal.aborted)).toEqual([true, true, true]);
    expect([left.pendingCalls, right.servedCalls]).toEqual([0, 0]);
  });

  it('makes writing pointless: nothing is sent, and nothing thrown', async () => {
    const { client, settled, right } = serveOpen();
    const call = client.up();
    await settled();
    call.cancel();
    expect(call.sink.write(1)).toBe(false);
    call.sink.end();
    call.sink.fail(new Error('too late'));
    await settled();
    expect(right.lateFrames).toBe(0);
  });

  it('happens when a loop over the items is left early', async () => {
    const { client, contexts, left, settled } = serveOpen();
    for await (const n of client.down()) if (n === 2) break;
    expect(left.pendingCalls).toBe(0);
    await settled();
    expect(contexts[0]?.signal.aborted).toBe(true);
  });

  it('of a stream whose server is done drops the items that still wait', async () => {
    const { client, settled } = connect(Open, {
      one: () => '',
      down(_request, sink) {
        sink.write(1);
        sink.end();
      },
      up: () => new Promise<never>(() => {}),
      both() {},
    });
    const [handed, iterated] = [client.down(), client.down()];
    await settled();
    handed.cancel();
    iterated.cancel();
    expect(await failure(handed.onItem(() => {}))).toMatchObject({ code: Status.Cancelled });
    const iterator = iterated[Symbol.asyncIterator]();
    expect(await failure(iterator.next())).toMatchObject({ code: Status.Cancelled });
  });

  it('wakes a loop that waits for credit', async () => {
    const loop = Promise.withResolvers<unknown>();
    const { client, settled } = connect(Open, {
      one: () => '',
      async down(_request, sink) {
        try {
          for (let n = 0; ; n += 1) if (!sink.write(n)) await sink.ready();
        } catch (error) {
          loop.resolve(error);
          throw error;
        }
      },
      up: () => new Promise<never>(() => {}),
      both() {},
    });
    const call = client.down();
    await settled();
    call.cancel();
    expect(await loop.promise).toMatchObject({ code: Status.Cancelled });
  });
});

describe('a handler’s signal', () => {
  it('does not abort when the handler finishes its call', async () => {
    const { client, contexts, answers, settled } = serveOpen();
    const call = client.one();
    await settled();
    answers[0]?.('done');
    expect(await call).toBe('done');
    expect(contexts[0]?.signal.aborted).toBe(false);
  });

  it('is aborted already when it is first asked for after the call was cut off', async () => {
    const { client, contexts, settled } = serveOpen();
    const call = client.one();
    await settled();
    call.cancel();
    await failure(call);
    await settled();
    expect(contexts[0]?.signal.reason).toMatchObject({ code: Status.Cancelled });
  });
});
