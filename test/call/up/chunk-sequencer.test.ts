import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChunkSequencer, REORDER_WAIT_MS, REORDER_WINDOW_CHUNKS } from '../../../src/call/up/chunk-sequencer.ts';

function sequencer(waitMs?: number) {
  const released: number[] = [];
  const skipped: number[] = [];
  const it = new ChunkSequencer<number>(
    (chunk) => released.push(chunk),
    (count) => skipped.push(count),
    waitMs,
  );
  const offer = (seq: number, nowMs = 0) => it.offer(seq, seq, nowMs);
  return { it, released, skipped, offer };
}

describe('ChunkSequencer', () => {
  it('releases chunks that come in order at once', () => {
    const { it: chunks, released, skipped, offer } = sequencer();
    expect([0, 1, 2].map((seq) => offer(seq))).toEqual(['released', 'released', 'released']);
    expect(released).toEqual([0, 1, 2]);
    expect(skipped).toEqual([]);
    expect(chunks.next).toBe(3);
    expect(chunks.expiresAtMs).toBeUndefined();
  });

  it('recognises a repeat of what was released and of what waits', () => {
    const { it: chunks, released, offer } = sequencer();
    offer(0);
    offer(2);
    expect(chunks.isRepeat(0)).toBe(true);
    expect(chunks.isRepeat(2)).toBe(true);
    expect(chunks.isRepeat(1)).toBe(false);
    expect(offer(0)).toBe('repeat');
    expect(offer(2)).toBe('repeat');
    expect(released).toEqual([0]);
  });

  it('holds an early chunk until the missing one comes', () => {
    const { it: chunks, released, skipped, offer } = sequencer();
    expect(offer(1)).toBe('held');
    expect(offer(3)).toBe('held');
    expect(released).toEqual([]);
    expect(offer(0)).toBe('released');
    expect(released).toEqual([0, 1]);
    offer(2);
    expect(released).toEqual([0, 1, 2, 3]);
    expect(skipped).toEqual([]);
    expect(chunks.next).toBe(4);
  });

  it('gives a missing chunk up when one more than the window waits for it', () => {
    const { released, skipped, offer } = sequencer();
    for (let seq = 1; seq <= REORDER_WINDOW_CHUNKS; seq++) expect(offer(seq)).toBe('held');
    expect(released).toEqual([]);
    expect(offer(REORDER_WINDOW_CHUNKS + 1)).toBe('released');
    expect(released).toEqual(Array.from({ length: REORDER_WINDOW_CHUNKS + 1 }, (_, index) => index + 1));
    expect(skipped).toEqual([1]);
    expect(offer(0)).toBe('repeat');
  });

  it('lets a whole window come in reverse', () => {
    const { released, skipped, offer } = sequencer();
    for (let seq = REORDER_WINDOW_CHUNKS; seq >= 0; seq--) offer(seq);
    expect(released).toEqual(Array.from({ length: REORDER_WINDOW_CHUNKS + 1 }, (_, index) => index));
    expect(skipped).toEqual([]);
  });

  it('does not give up what may still come because one chunk is far ahead', () => {
    const { released, skipped, offer } = sequencer();
    expect(offer(20)).toBe('held');
    for (let seq = 0; seq < 20; seq++) offer(seq);
    expect(released).toEqual(Array.from({ length: 21 }, (_, index) => index));
    expect(skipped).toEqual([]);
  });

  it('gives a missing chunk up when an early one has waited long enough', () => {
    const { it: chunks, released, skipped, offer } = sequencer();
    offer(2, 1000);
    expect(chunks.expiresAtMs).toBe(1000 + REORDER_WAIT_MS);
    chunks.expire(1000 + REORDER_WAIT_MS - 1);
    expect(released).toEqual([]);
    chunks.expire(1000 + REORDER_WAIT_MS);
    expect(released).toEqual([2]);
    expect(skipped).toEqual([2]);
    expect(chunks.expiresAtMs).toBeUndefined();
  });

  it('lets each early chunk wait for its own hole, not for the rest of another one', () => {
    const { it: chunks, released, offer } = sequencer();
    offer(1, 0);
    offer(3, 280);
    offer(0, 290);
    expect(released).toEqual([0, 1]);
    chunks.expire(300);
    expect(released).toEqual([0, 1]);
    expect(chunks.expiresAtMs).toBe(580);
    offer(2, 570);
    expect(released).toEqual([0, 1, 2, 3]);
  });

  it('releases what stands in front of a chunk that has waited long enough, though it came later', () => {
    const { it: chunks, released, skipped, offer } = sequencer();
    offer(5, 0);
    offer(2, 200);
    offer(8, 250);
    chunks.expire(300);
    expect(released).toEqual([2, 5]);
    expect(skipped).toEqual([2, 2]);
    expect(chunks.expiresAtMs).toBe(550);
  });

  it('tells a late chunk from a repeat', () => {
    const { it: chunks, offer } = sequencer();
    offer(2, 0);
    chunks.expire(REORDER_WAIT_MS);
    expect([0, 1, 2].map((seq) => chunks.isLate(seq))).toEqual([true, true, false]);
  });

  it('releases everything that waits when it is flushed', () => {
    const { it: chunks, released, offer } = sequencer();
    for (const seq of [7, 3, 5]) offer(seq);
    chunks.flush();
    expect(released).toEqual([3, 5, 7]);
    expect(chunks.expiresAtMs).toBeUndefined();
  });

  /** Chunks sent every 20 ms, each with a delay of its own and perhaps sent twice; arrivals in order of time. */
  const traffic = (maxDelayMs: number) =>
    fc
      .array(
        fc.record({
          delayMs: fc.integer({ min: 0, max: maxDelayMs }),
          again: fc.option(fc.integer({ min: 0, max: 500 })),
          lost: fc.integer({ min: 0, max: 9 }).map((dice) => dice === 0),
        }),
        { minLength: 1, maxLength: 80 },
      )
      .map((chunks) =>
        chunks
          .flatMap(({ delayMs, again, lost }, seq) => [
            ...(lost ? [] : [{ seq, atMs: seq * 20 + delayMs }]),
            ...(again === null ? [] : [{ seq, atMs: seq * 20 + delayMs + again }]),
          ])
          .sort((a, b) => a.atMs - b.atMs || a.seq - b.seq),
      );

  function play(arrivals: readonly { seq: number; atMs: number }[]) {
    const { it: chunks, released, skipped } = sequencer();
    const releasedAtMs = new Map<number, number>();
    const note = (nowMs: number) => {
      for (const seq of released) if (!releasedAtMs.has(seq)) releasedAtMs.set(seq, nowMs);
    };
    for (const { seq, atMs } of arrivals) {
      for (let due = chunks.expiresAtMs; due !== undefined && due <= atMs; due = chunks.expiresAtMs) {
        chunks.expire(due);
        note(due);
      }
      chunks.offer(seq, seq, atMs);
      note(atMs);
    }
    for (let due = chunks.expiresAtMs; due !== undefined; due = chunks.expiresAtMs) {
      chunks.expire(due);
      note(due);
    }
    return { released, skipped, releasedAtMs, next: chunks.next };
  }

  it('keeps everything in order, once, and nothing waiting too long, whatever the network does', () => {
    fc.assert(
      fc.property(traffic(900), (arrivals) => {
        const { released, skipped, releasedAtMs, next } = play(arrivals);
        for (let i = 1; i < released.length; i++) expect(released[i]!).toBeGreaterThan(released[i - 1]!);
        // Every number up to the last is accounted for: released, or given up and counted.
        expect(released.length + skipped.reduce((sum, count) => sum + count, 0)).toBe(next);
        for (const seq of released) {
          const first = arrivals.find((arrival) => arrival.seq === seq)!;
          expect(releasedAtMs.get(seq)! - first.atMs).toBeLessThanOrEqual(REORDER_WAIT_MS);
        }
      }),
      { seed: 20_260_801, numRuns: 500 },
    );
  });

  it('loses nothing that comes within the window', () => {
    fc.assert(
      // 300 ms of delay are 15 chunks of 20 ms.
      fc.property(traffic(REORDER_WAIT_MS - 1), (all) => {
        const arrived = new Set(all.map(({ seq }) => seq));
        const last = Math.max(...arrived);
        fc.pre(arrived.size === last + 1);
        const firsts = [...arrived].map((seq) => all.find((arrival) => arrival.seq === seq)!);
        fc.pre(firsts.every(({ seq, atMs }) => atMs < seq * 20 + REORDER_WAIT_MS));
        const { released, skipped } = play(all);
        expect(released).toEqual(Array.from({ length: last + 1 }, (_, seq) => seq));
        expect(skipped).toEqual([]);
      }),
      { seed: 20_260_802, numRuns: 500, maxSkipsPerRun: 1_000 },
    );
  });
});
