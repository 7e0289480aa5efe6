import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type CallContext, defineService, Status, serverStream, unary } from '../../src/bus/index.ts';
import { Tag } from '../../src/bus/wire.ts';
import { monotonicNowMs } from '../../src/clock.ts';
import { Base, Lab } from './support/lab.ts';
import { aborted, connect, connectBare, connectPeers, failure, startLabWorker } from './support/peers.ts';

const Slow = defineService('slow', {
  hang: unary<void, never>(),
  stream: serverStream<void, number>(),
  quick: unary<void, { deadline: number | undefined; remainingMs: number }>(),
});

const Hang = defineService('hang', { hang: unary<void, never>() });

function serveSlow() {
  const contexts: CallContext[] = [];
  const peers = connect(Slow, {
    hang(_request, context) {
      contexts.push(context);
      return new Promise<never>(() => {});
    },
    stream(_request, sink, context) {
      contexts.push(context);
      sink.write(1);
    },
    quick: (_request, context) => ({ deadline: context.deadline, remainingMs: context.timeRemainingMs() }),
  });
  return { ...peers, contexts };
}

describe('a deadline', () => {
  it('settles a unary call at both ends', async () => {
    const { client, contexts, left, right, settled } = serveSlow();
    const error = await failure(client.hang(undefined, { timeoutMs: 20 }));
    expect(error).toMatchObject({ code: Status.DeadlineExceeded, message: expect.stringContaining('slow.hang') });
    expect(await aborted(contexts[0]!.signal)).toMatchObject({ code: Status.DeadlineExceeded });
    expect(contexts[0]?.timeRemainingMs()).toBe(0);
    await settled();
    expect([left.pendingCalls, right.servedCalls]).toEqual([0, 0]);
  });

  it('settles a stream at both ends', async () => {
    const { client, contexts } = serveSlow();
    const seen: number[] = [];
    const error = await failure(client.stream(undefined, { timeoutMs: 20 }).onItem((n) => seen.push(n)));
    expect([error.code, seen]).toEqual([Status.DeadlineExceeded, [1]]);
    expect(await aborted(contexts[0]!.signal)).toMatchObject({ code: Status.DeadlineExceeded });
  });

  it('is kept by the server even if the client never says that it gave up', async () => {
    const { port, server } = connectBare(Hang, { hang: () => new Promise<never>(() => {}) });
    port.postMessage([Tag.Call, 1, 'hang.hang', undefined, monotonicNowMs() + 20]);
    const [frame] = await once(port, 'message');
    expect(frame).toMatchObject([Tag.Failure, 1, { code: Status.DeadlineExceeded }]);
    expect(server.servedCalls).toBe(0);
  });

  it('that passed on the way keeps the handler from running', async () => {
    let runs = 0;
    const { port } = connectBare(Hang, {
      hang() {
        runs += 1;
        return new Promise<never>(() => {});
      },
    });
    port.postMessage([Tag.Call, 1, 'hang.hang', undefined, monotonicNowMs() - 1]);
    const [frame] = await once(port, 'message');
    expect(frame).toMatchObject([Tag.Failure, 1, { code: Status.DeadlineExceeded }]);
    expect(runs).toBe(0);
  });

  it('already over fails the call unsent', async () => {
    const { client, contexts, settled } = serveSlow();
    for (const timeoutMs of [0, -5]) {
      expect(await failure(client.hang(undefined, { timeoutMs }))).toMatchObject({ code: Status.DeadlineExceeded });
    }
    await settled();
    expect(contexts).toEqual([]);
  });

  it('is never early, not even by the fraction of a millisecond that timers do not count', async () => {
    const { client } = serveSlow();
    for (let round = 0; round < 30; round += 1) {
      const startedAtMs = monotonicNowMs();
      await failure(client.hang(undefined, { timeoutMs: 2.9 }));
      expect(monotonicNowMs() - startedAtMs).toBeGreaterThanOrEqual(2.9);
    }
  });

  it('must be a number', async () => {
    const { client } = serveSlow();
    const error = await failure(client.hang(undefined, { timeoutMs: Number.NaN }));
    expect(error.code).toBe(Status.InvalidArgument);
  });

  it('is known to the handler, and is none when none was set', async () => {
    const { client } = serveSlow();
    const before = monotonicNowMs();
    const { deadline, remainingMs } = await client.quick(undefined, { timeoutMs: 60_000 });
    expect(deadline).toBeGreaterThanOrEqual(before + 60_000);
    expect(deadline).toBeLessThanOrEqual(monotonicNowMs() + 60_000);
    expect(remainingMs).toBeGreaterThan(0);
    expect(remainingMs).toBeLessThanOrEqual(60_000);
    for (const options of [{}, { timeoutMs: Infinity }]) {
      expect(await client.quick(undefined, options)).toEqual({ deadline: undefined, remainingMs: Infinity });
    }
  });

  it('beyond what a timer can wait still works', async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    onTestFinished(() => void process.off('warning', onWarning));
    const { client, settled } = serveSlow();
    const { remainingMs } = await client.quick(undefined, { timeoutMs: 2 ** 33 });
    expect(remainingMs).toBeGreaterThan(2 ** 32);
    await settled();
    expect(warnings).toEqual([]); // Node warns of a timer that is too long, and makes it 1 ms
  });
});

describe('a deadline that travels on', () => {
  it('is the caller’s in a call that the handler makes back, across threads', async () => {
    const { peer } = startLabWorker();
    peer.serve(Base, {
      deadline: (_request, context) => context.deadline,
      hang: () => new Promise<never>(() => {}),
      ticks() {},
    });
    const lab = peer.client(Lab);
    const { outer, inner } = await lab.deadlines({}, { timeoutMs: 20_000 });
    expect(outer).toBeTypeOf('number');
    expect(inner).toBe(outer);

    // The shorter wins, whichever it is.
    const shorter = await lab.deadlines({ ownTimeoutMs: 10_000 }, { timeoutMs: 20_000 });
    expect(shorter.inner).toBeLessThan(shorter.outer!);
    const longer = await lab.deadlines({ ownTimeoutMs: 30_000 }, { timeoutMs: 20_000 });
    expect(longer.inner).toBe(longer.outer);

    expect(await lab.deadlines({})).toEqual({ outer: undefined, inner: undefined });
    expect(await lab.deadlines({ ownTimeoutMs: 10_000 })).toEqual({ outer: undefined, inner: expect.any(Number) });
  });

  it('ends the inner call with the outer', async () => {
    const Inner = defineService('inner', { hang: unary<void, never>() });
    const Outer = defineService('outer', { hang: unary<void, never>() });
    const innerOutcome = Promise.withResolvers<unknown>();
    const { left, right } = connectPeers();
    const client = left.client(Outer);
    const inner = right.client(Inner);
    right.serve(Outer, {
      hang(_request, context) {
        const call = inner.hang(undefined, { parent: context });
        call.catch(innerOutcome.resolve);
        return call;
      },
    });
    const contexts: CallContext[] = [];
    left.serve(Inner, {
      hang(_request, context) {
        contexts.push(context);
        return new Promise<never>(() => {});
      },
    });
    expect(await failure(client.hang(undefined, { timeoutMs: 30 }))).toMatchObject({ code: Status.DeadlineExceeded });
    expect(await innerOutcome.promise).toMatchObject({ code: Status.DeadlineExceeded });
    expect(await aborted(contexts[0]!.signal)).toMatchObject({ code: Status.DeadlineExceeded });
  });
});
