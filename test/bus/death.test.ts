import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  type BusError,
  bidi,
  type CallContext,
  clientStream,
  defineService,
  type Sink,
  Status,
  serverStream,
  unary,
} from '../../src/bus/index.ts';
import { Base, Lab } from './support/lab.ts';
import { connect, connectBare, failure, startLabWorker } from './support/peers.ts';

const Everything = defineService('everything', {
  one: unary<void, never>(),
  down: serverStream<void, number>(),
  up: clientStream<number, never>({ window: 2 }),
  both: bidi<number, number>({ up: { window: 2 } }),
});

/** Calls of every kind that are all pending, and a promise for each thing that somebody may be waiting for. */
function pendingEverywhere() {
  const contexts: CallContext[] = [];
  const serverWaits: Promise<BusError>[] = [];
  const peers = connect(Everything, {
    one(_request, context) {
      contexts.push(context);
      return new Promise<never>(() => {});
    },
    down(_request, sink, context) {
      contexts.push(context);
      for (let n = 0; n < 100; n += 1) sink.write(n);
      serverWaits.push(failure(sink.ready()));
    },
    up(_request, source, context) {
      contexts.push(context);
      serverWaits.push(failure(source.onItem(() => new Promise(() => {}))));
      return new Promise<never>(() => {});
    },
    both(_request, source, _sink, context) {
      contexts.push(context);
      serverWaits.push(failure(source[Symbol.asyncIterator]().next()));
    },
  });
  const { client } = peers;
  const [up, both] = [client.up(), client.both()];
  for (let n = 0; n < 10; n += 1) up.sink.write(n);
  const clientWaits = [
    failure(client.one()),
    failure(client.down().onItem(() => new Promise(() => {}))),
    failure(up.answer),
    failure(up.sink.ready()),
    failure(both.onItem(() => {})),
  ];
  return { ...peers, contexts, clientWaits, serverWaits, sinks: [up.sink, both.sink] };
}

async function expectAllSettled(peers: ReturnType<typeof pendingEverywhere>) {
  for (const error of await Promise.all([...peers.clientWaits, ...peers.serverWaits])) {
    expect(error).toMatchObject({ code: Status.Unavailable });
  }
  expect(peers.contexts).toHaveLength(4);
  for (const { signal } of peers.contexts) expect(signal.reason).toMatchObject({ code: Status.Unavailable });
  for (const sink of peers.sinks) expect([sink.closed, sink.queued]).toEqual([true, 0]);
  for (const peer of [peers.left, peers.right]) {
    expect(await peer.closed).toMatchObject({ code: Status.Unavailable });
    expect([peer.isClosed, peer.pendingCalls, peer.servedCalls]).toEqual([true, 0, 0]);
  }
}

describe('closing settles everything that is pending, in both roles', () => {
  it('when this end closes', async () => {
    const peers = pendingEverywhere();
    await peers.settled();
    peers.left.close();
    expect([peers.left.pendingCalls, peers.left.isClosed]).toEqual([0, true]);
    await expectAllSettled(peers);
  });

  it('when the other end closes', async () => {
    const peers = pendingEverywhere();
    await peers.settled();
    peers.right.close('going home');
    expect([peers.right.servedCalls, peers.right.isClosed]).toEqual([0, true]);
    await expectAllSettled(peers);
    expect((await peers.left.closed).message).toContain('going home');
  });

  it('when the port is closed under the peer', async () => {
    const peers = pendingEverywhere();
    await peers.settled();
    peers.rightPort.close();
    await expectAllSettled(peers);
  });

  it('when a thread dies, in whatever way', async () => {
    const deaths: Record<string, (started: ReturnType<typeof startLabWorker>) => void> = {
      'is terminated': ({ worker }) => void worker.terminate(),
      throws: ({ peer }) => void failure(peer.client(Lab).die('throw')),
      exits: ({ peer }) => void failure(peer.client(Lab).die('exit')),
      'closes its peer': ({ peer }) => void failure(peer.client(Lab).die('close')),
    };
    for (const over of ['channel', 'parentPort'] as const) {
      for (const [how, die] of Object.entries(deaths)) {
        const started = startLabWorker(over);
        const { peer } = started;
        const lab = peer.client(Lab);
        const served: { sink: Sink<number>; context: CallContext }[] = [];
        peer.serve(Base, {
          deadline: () => undefined,
          hang: () => new Promise<never>(() => {}),
          ticks(_request, sink, context) {
            served.push({ sink, context });
          },
        });
        await lab.callBack();
        const [up, both] = [lab.swallow(), lab.double()];
        for (let n = 0; n < 100; n += 1) up.sink.write(n);
        const waits = [
          failure(lab.hang()),
          failure(lab.hang(undefined, { timeoutMs: 600_000 })),
          failure(lab.openEnded().onItem(() => {})),
          failure(up.answer),
          failure(both.onItem(() => {})),
        ];
        die(started);
        for (const error of await Promise.all(waits)) {
          expect.soft(error, `${how}, over ${over}`).toMatchObject({ code: Status.Unavailable });
        }
        expect(served[0]?.context.signal.reason).toMatchObject({ code: Status.Unavailable });
        expect([served[0]?.sink.write(1), peer.pendingCalls, peer.servedCalls]).toEqual([false, 0, 0]);
        expect(await failure(lab.echo(1))).toMatchObject({ code: Status.Unavailable });
        if (how !== 'closes its peer') await started.exited;
      }
    }
  });

  it('of a thread that had not even started', async () => {
    const { worker, peer } = startLabWorker();
    const call = failure(peer.client(Lab).echo(1));
    await worker.terminate();
    expect(await call).toMatchObject({ code: Status.Unavailable });
  });
});

describe('a closed peer', () => {
  it('refuses calls of every kind at once, and serves none', async () => {
    const { left, right, client } = pendingEverywhere();
    left.close('done for today');
    const [down, up, both] = [client.down(), client.up(), client.both()];
    for (const error of [
      await failure(client.one()),
      await failure(down.onItem(() => {})),
      await failure(up.answer),
      await failure(both.onItem(() => {})),
    ]) {
      expect(error).toMatchObject({ code: Status.Unavailable, message: expect.stringContaining('done for today') });
    }
    expect([up.sink.write(1), both.sink.write(1)]).toEqual([false, false]);
    await right.closed;
    expect([left.pendingCalls, right.servedCalls]).toEqual([0, 0]);
  });

  it('can be closed again, from anywhere, for the same first reason', async () => {
    const { left, right, client, contexts, settled } = pendingEverywhere();
    await settled();
    // Closing reaches into user code, which may well close in turn.
    for (const { signal } of contexts) signal.addEventListener('abort', () => right.close('nested'));
    const rejected = client.one().catch(() => left.close('nested'));
    left.close('first');
    left.close('second');
    await rejected;
    await right.closed;
    left.close('third');
    right.close('fourth');
    expect((await left.closed).message).toBe('first');
    expect((await right.closed).message).toContain('first');
  });

  it('has closed its port', async () => {
    const { port, server } = connectBare(Everything, {
      one: () => new Promise<never>(() => {}),
      down() {},
      up: () => new Promise<never>(() => {}),
      both() {},
    });
    const closed = once(port, 'close');
    port.start(); // or it never hears of it
    server.close();
    await closed;
  });

  it('drops what its handlers answer afterwards', async () => {
    const answers: ((answer: string) => void)[] = [];
    const Late = defineService('late', { one: unary<void, string>() });
    const { right, client, settled } = connect(Late, { one: () => new Promise((resolve) => answers.push(resolve)) });
    const call = failure(client.one());
    await settled();
    right.close();
    answers[0]?.('too late');
    expect(await call).toMatchObject({ code: Status.Unavailable });
  });

  it('delivers the answers it sent before it closed', async () => {
    const Last = defineService('last', { word: unary<void, string>() });
    const { right, client } = connect(Last, {
      word() {
        queueMicrotask(() => right.close());
        return 'goodbye';
      },
    });
    expect(await client.word()).toBe('goodbye');
  });
});

describe('keeping a thread alive', () => {
  it('is the port’s business, not that of pending calls and their deadlines', async () => {
    const url = new URL('./support/idle-worker.ts', import.meta.url);
    const worker = new Worker(url);
    onTestFinished(async () => void (await worker.terminate()));
    const [exitCode] = await once(worker, 'exit');
    expect(exitCode).toBe(0);
  });
});
