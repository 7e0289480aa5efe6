import { MessageChannel } from 'node:worker_threads';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  BusError,
  BusPeer,
  bidi,
  clientStream,
  defineService,
  type Implementation,
  type Sink,
  Status,
  serverStream,
  unary,
} from '../../src/bus/index.ts';

/** Everything that travels names the call it belongs to, so that nothing can be taken for another call's. */
interface Tagged {
  call: number;
  n: number;
}

const Mix = defineService('mix', {
  one: unary<Tagged, Tagged>(),
  down: serverStream<Tagged, Tagged>(),
  up: clientStream<Tagged, Tagged[], number>(),
  both: bidi<Tagged, Tagged, number>(),
});

type Kind = keyof (typeof Mix)['methods'];

const plan = fc.record({
  kind: fc.constantFrom<Kind>('one', 'down', 'up', 'both'),
  from: fc.constantFrom('left', 'right'),
  items: fc.nat({ max: 12 }),
  window: fc.integer({ min: 1, max: 5 }),
  /** Cancelled once the caller has seen (or, going up, written) this many items; most are not. */
  cancelAt: fc.option(fc.nat({ max: 12 }), { freq: 2 }),
});

it('many calls of every kind, interleaved in any way, each get what is theirs, in order and within their window', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(plan, { minLength: 1, maxLength: 12 }), fc.scheduler(), async (plans, scheduler) => {
      /** Every step of every call waits for its turn here, and the scheduler picks whose turn it is. */
      const turn = () => scheduler.schedule(Promise.resolve());
      /** What has been consumed of each call's stream down, which its writer must never be further ahead of than its window. */
      const consumed = plans.map(() => 0);

      async function writeAll(sink: Sink<Tagged>, call: number, count: number, isAhead: (sent: number) => void) {
        for (let n = 0; n < count; n += 1) {
          await turn();
          if (sink.closed) return;
          const wait = !sink.write({ call, n });
          isAhead(n + 1 - sink.queued);
          if (wait) await sink.ready();
        }
      }

      const within = (call: number) => (sent: number) => {
        expect(sent - consumed[call]!).toBeLessThanOrEqual(plans[call]!.window);
      };

      const implementation: Implementation<(typeof Mix)['methods']> = {
        async one({ call, n }) {
          await turn();
          return { call, n: n + 1 };
        },
        async down({ call, n }, sink) {
          await writeAll(sink, call, n, within(call));
          sink.end();
        },
        async up(call, source) {
          const items: Tagged[] = [];
          for await (const item of source) {
            expect(item.call).toBe(call);
            items.push(item);
            await turn();
          }
          return items;
        },
        async both(call, source, sink) {
          let sent = 0;
          for await (const item of source) {
            await turn();
            const wait = !sink.write(item);
            sent += 1;
            within(call)(sent - sink.queued);
            if (wait) await sink.ready();
          }
          sink.end();
        },
      };

      const { port1, port2 } = new MessageChannel();
      const peers = { left: new BusPeer(port1), right: new BusPeer(port2) };
      for (const peer of Object.values(peers)) peer.serve(Mix, implementation);

      const all = plans.map(async ({ kind, from, items, window, cancelAt }, call) => {
        const client = peers[from as 'left' | 'right'].client(Mix);
        const expected = Array.from({ length: items }, (_, n) => ({ call, n }));
        const seen: Tagged[] = [];
        const readAll = async (source: AsyncIterable<Tagged>, cancel: () => void) => {
          if (cancelAt === 0) cancel();
          for await (const item of source) {
            seen.push(item);
            if (seen.length === cancelAt) cancel();
            await turn();
            consumed[call]! += 1;
          }
        };
        await turn();
        try {
          switch (kind) {
            case 'one': {
              const answer = client.one({ call, n: items });
              if (cancelAt !== null) {
                await turn();
                answer.cancel();
              }
              expect(await answer).toEqual({ call, n: items + 1 });
              break;
            }
            case 'down': {
              const stream = client.down({ call, n: items }, { window });
              await readAll(stream, () => stream.cancel());
              expect(seen).toEqual(expected);
              break;
            }
            case 'up': {
              const stream = client.up(call, { window });
              await writeAll(stream.sink, call, Math.min(items, cancelAt ?? Infinity), () => {});
              if (cancelAt !== null) stream.cancel();
              else stream.sink.end();
              expect(await stream.answer).toEqual(expected);
              break;
            }
            case 'both': {
              const stream = client.both(call, { upWindow: window, downWindow: window });
              const writing = writeAll(stream.sink, call, items, () => {}).then(() => stream.sink.end());
              await Promise.all([writing, readAll(stream, () => stream.cancel())]);
              expect(seen).toEqual(expected);
              break;
            }
          }
        } catch (error) {
          // Only what was cancelled may fail, and only so; what it had seen by then was right.
          if (!(error instanceof BusError) || cancelAt === null) throw error;
          expect(error.code).toBe(Status.Cancelled);
          expect(seen).toEqual(expected.slice(0, seen.length));
        }
      });

      try {
        await scheduler.waitFor(Promise.all(all));
        expect([peers.left.pendingCalls, peers.right.pendingCalls]).toEqual([0, 0]);
        expect([peers.left.malformedMessages, peers.right.malformedMessages]).toEqual([0, 0]);
      } finally {
        peers.left.close();
        await peers.right.closed;
      }
      expect([peers.left.servedCalls, peers.right.servedCalls]).toEqual([0, 0]);
    }),
    { numRuns: 150 },
  );
});
