import { describe, expect, it } from 'vitest';
import {
  BusError,
  type CallEnd,
  clientStream,
  defineService,
  Status,
  serverStream,
  unary,
} from '../../src/bus/index.ts';
import { connect, connectPeers, failure } from './support/peers.ts';

const Watched = defineService('watched', {
  ok: unary<void, void>(),
  bad: unary<void, never>(),
  hang: unary<void, never>(),
  down: serverStream<void, number>(),
  up: clientStream<number, number>(),
});

function serveWatched() {
  const ends: { left: CallEnd[]; right: CallEnd[] } = { left: [], right: [] };
  const ours = ({ method }: CallEnd) => method.startsWith('watched.');
  const peers = connect(
    Watched,
    {
      ok: () => {},
      bad() {
        throw new BusError(Status.NotFound, 'nothing here');
      },
      hang: () => new Promise<never>(() => {}),
      down(_request, sink) {
        sink.write(1);
        sink.end();
      },
      up: () => 0,
    },
    {
      left: { onCallEnd: (end) => void (ours(end) && ends.left.push(end)) },
      right: { onCallEnd: (end) => void (ours(end) && ends.right.push(end)) },
    },
  );
  return { ...peers, ends };
}

const summary = (ends: CallEnd[]) => ends.map(({ method, code, role }) => `${role} ${method} ${code}`);

describe('onCallEnd', () => {
  it('is told of every call once, at both ends, with its code', async () => {
    const { client, ends, left, settled } = serveWatched();
    await client.ok();
    await failure(client.bad());
    await client.down().onItem(() => {});
    await client.up().answer;
    await failure(client.hang(undefined, { timeoutMs: 10 }));
    const cancelled = client.hang();
    await settled();
    cancelled.cancel();
    await failure(cancelled);
    const lost = client.hang();
    await settled();
    left.close();
    await failure(lost);
    const codes = ['ok OK', 'bad NOT_FOUND', 'down OK', 'up OK'].concat([
      'hang DEADLINE_EXCEEDED',
      'hang CANCELLED',
      'hang UNAVAILABLE',
    ]);
    expect(summary(ends.left)).toEqual(codes.map((code) => `client watched.${code}`));
    // The other end hears of the close a moment later.
    await expect.poll(() => summary(ends.right)).toEqual(codes.map((code) => `server watched.${code}`));
  });

  it('is told how long the call took', async () => {
    const { client, ends } = serveWatched();
    await failure(client.hang(undefined, { timeoutMs: 30 }));
    expect(ends.left[0]?.durationMs).toBeGreaterThanOrEqual(29);
    expect(ends.left[0]?.durationMs).toBeLessThan(30_000);
  });

  it('is told of calls that could not be sent and of methods that do not exist', async () => {
    const { client, ends, left } = serveWatched();
    const error = await failure(client.ok(undefined, { transfer: [{} as ArrayBuffer] }));
    expect(error.code).toBe(Status.InvalidArgument);
    left.close();
    await failure(client.ok());
    expect(summary(ends.left)).toEqual(['client watched.ok INVALID_ARGUMENT', 'client watched.ok UNAVAILABLE']);

    const unserved: CallEnd[] = [];
    const peers = connectPeers({ right: { onCallEnd: (end) => unserved.push(end) } });
    await failure(peers.left.client(Watched).ok());
    expect(summary(unserved)).toEqual(['server watched.ok UNIMPLEMENTED']);
  });

  it('may throw without hurting the call', async () => {
    const uncaught = Promise.withResolvers<unknown>();
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', uncaught.resolve);
    try {
      let threw = false;
      const { client, left } = connect(
        Watched,
        { ok: () => {}, bad: () => Promise.reject(), hang: () => Promise.reject(), down() {}, up: () => 0 },
        {
          left: {
            onCallEnd() {
              if (threw) return;
              threw = true;
              throw new Error('broken metrics');
            },
          },
        },
      );
      await client.ok();
      expect(left.pendingCalls).toBe(0);
      expect(await uncaught.promise).toMatchObject({ message: 'broken metrics' });
      await client.ok();
    } finally {
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
  });
});

describe('pendingCalls and servedCalls', () => {
  it('count the calls that are not over at either end', async () => {
    const { client, left, right, settled } = serveWatched();
    const calls = [client.hang(), client.hang(), client.hang()];
    await settled();
    expect([left.pendingCalls, right.servedCalls, right.pendingCalls, left.servedCalls]).toEqual([3, 3, 0, 0]);
    calls[0]?.cancel();
    await failure(calls[0]!);
    await settled();
    expect([left.pendingCalls, right.servedCalls]).toEqual([2, 2]);
    left.close();
    await Promise.all(calls.slice(1).map(failure));
  });
});
