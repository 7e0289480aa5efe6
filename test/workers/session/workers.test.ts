import { availableParallelism } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { SessionWorkers, type WorkerLease } from '../../../src/workers/session/workers.ts';
import { terminateWorker } from '../../support/worker-threads.ts';

const NEVER = new AbortController().signal;
const LONG_MS = 60_000;
/** Workers that start at a time. */
const AT_ONCE = Math.max(2, availableParallelism());

let workers: SessionWorkers;
afterEach(() => workers.close());

function start(mode: 'dedicated' | number, spares = 0): void {
  const unused = () => {
    throw new Error('not called here');
  };
  workers = new SessionWorkers({
    mode,
    spares,
    gateway: {
      isPlaying: unused,
      interrupt: unused,
      runTool: unused,
      history: unused,
      connect: unused,
      report: () => {},
    },
  });
}

const UNTOLD = { onLost: () => {} };
const lease = (timeoutMs = LONG_MS, signal = NEVER) => workers.lease(UNTOLD, timeoutMs, signal);
const idsOf = (leases: readonly WorkerLease[]) => leases.map(({ workerId }) => workerId);

describe('dedicated session workers', () => {
  it('are one a session, however many ask at once, in the order they ask', async () => {
    start('dedicated', 2);
    const order: number[] = [];
    const count = 4 * AT_ONCE;
    const leases = await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const taken = await lease();
        order.push(index);
        return taken;
      }),
    );
    expect(new Set(idsOf(leases)).size).toBe(count);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(workers.counts.busy).toBe(count);
    await expect.poll(() => workers.counts.spare).toBe(2);
  });

  it('start a few at a time', async () => {
    start('dedicated');
    const leases = Array.from({ length: AT_ONCE + 3 }, () => lease());
    expect(workers.counts.busy).toBe(AT_ONCE);
    await Promise.all(leases);
    expect(workers.counts.busy).toBe(AT_ONCE + 3);
  });

  it('go from a session that is over to one that waits', async () => {
    start('dedicated');
    const taken = await Promise.all(Array.from({ length: AT_ONCE }, () => lease()));
    const waiting = lease();
    taken[0]!.release();
    expect((await waiting).workerId).toBe(taken[0]!.workerId);
    // Once only, whatever its first holder does.
    taken[0]!.release();
    expect(workers.counts.busy).toBe(AT_ONCE);
  });

  it('are not waited for longer than asked, nor when the session or the workers are closed', async () => {
    start('dedicated');
    const begun = Array.from({ length: AT_ONCE }, () => lease());
    const given = new AbortController();
    await expect(lease(0)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    const refused = [lease(LONG_MS, given.signal), lease(LONG_MS, AbortSignal.abort()), lease()].map((one) =>
      one.catch(({ code }) => code),
    );
    given.abort();
    const closed = workers.close();
    expect(await Promise.all(refused)).toEqual(['CANCELLED', 'CANCELLED', 'CANCELLED']);
    await Promise.all(begun);
    await closed;
    await expect(lease()).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('keep their places for others when one dies', async () => {
    start('dedicated');
    const lost = Promise.withResolvers<Error>();
    const doomed = await workers.lease({ onLost: lost.resolve }, LONG_MS, NEVER);
    await workers.lease({ onLost: () => expect.unreachable() }, LONG_MS, NEVER);
    expect(await terminateWorker(doomed.workerId)).toBe(true);
    expect((await lost.promise).message).toContain(`session worker ${doomed.workerId} ended`);
    doomed.release();
    expect(workers.counts.busy).toBe(1);
    expect((await lease()).workerId).not.toBe(doomed.workerId);
  });
});

describe('shared session workers', () => {
  it('are handed out to the least loaded first', async () => {
    start(3);
    const leases = await Promise.all(Array.from({ length: 7 }, () => lease()));
    expect(idsOf(leases)).toEqual([1, 2, 3, 1, 2, 3, 1]);
    leases[1]!.release();
    expect((await lease()).workerId).toBe(2);
  });
});
