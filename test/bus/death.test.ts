import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import {
  BusError,
  bidi,
  type CallContext,
  clientStream,
  defineService,
  Status,
  serverStream,
  unary,
} from '../../src/bus/index.ts';
import { Lab } from './support/lab.ts';
import { connect, failure, startLabWorker } from './support/peers.ts';

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
    failure(client.down()[Symbol.asyncIterator]().next().then(() => new Promise(() => {}))),
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
  expect(peers.contexts).toHaveLength(5);
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
    peers.clientWaits.splice(2, 1); // has its first item in time or not: the next test's business
    await peers.settled();
    peers.left.close();
    expect([peers.left.pendingCalls, peers.left.isClosed]).toEqual([0, true]);
    await expectAllSettled(peers);
  });

  it('when the other end closes', async () => {
    const peers = pendingEverywhere();
    peers.clientWaits.splice(2, 1);
    await peers.settled();
    peers.right.close('going home');
    expect([peers.right.servedCalls, peers.right.isClosed]).toEqual([0, true]);
    await expectAllSettled(peers);
    expect((await peers.left.closed).message).toContain('going home');
  });

  it('when the port is closed under the peer', async () => {
    const peers = pendingEverywhere();
    peers.clientWaits.splice(2, 1);
    await peers.settled();
    peers.rightPort.close();
    await expectAllSettled(peers);
  });
});
