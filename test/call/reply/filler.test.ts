import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CallGuard } from '../../../src/call/guard.ts';
import type { ReplyFrame } from '../../../src/call/reply/downlink.ts';
import { CallFiller } from '../../../src/call/reply/filler.ts';

const FRAMES: ReplyFrame[] = Array.from({ length: 50 }, (_, n) => ({ base64: `f${n}`, frameMs: 60, audioMs: 60 }));
const AFTER_MS = 1_500;

let remainingMs: number;
let played: { itemId: string; base64: string; atMs: number }[];
let started: number;
let errors: Error[];
let load: () => Promise<readonly ReplyFrame[]>;
let filler: CallFiller;

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
  remainingMs = 0;
  played = [];
  started = 0;
  errors = [];
  load = async () => FRAMES;
  filler = new CallFiller(
    { load: () => load() },
    {
      get remainingMs() {
        return remainingMs;
      },
      playSound: (itemId, frames) => {
        for (const { base64 } of frames) played.push({ itemId, base64, atMs: Date.now() });
      },
    },
    {
      fillerStarted: () => {
        started += 1;
      },
      fillerFailed: (error) => errors.push(error),
    },
    new CallGuard((error) => errors.push(error)),
  );
});
afterEach(() => {
  filler.stop();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe('a filler', () => {
  it('begins after a while of silence, and is queued as it plays', async () => {
    filler.await();
    await vi.advanceTimersByTimeAsync(AFTER_MS - 1);
    expect(played).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(played).toHaveLength(20);
    await vi.advanceTimersByTimeAsync(600);
    expect(played).toHaveLength(30);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(played.map(({ base64 }) => base64)).toEqual(FRAMES.map(({ base64 }) => base64));
    expect(started).toBe(1);
    expect(new Set(played.map(({ itemId }) => itemId)).size).toBe(1);
  });

  it('waits until what was being said is over', async () => {
    remainingMs = 3_000;
    filler.await();
    await vi.advanceTimersByTimeAsync(3_000 + AFTER_MS - 1);
    expect(started).toBe(0);
    // The client fetched the rest late.
    remainingMs = 500;
    await vi.advanceTimersByTimeAsync(1);
    expect(started).toBe(0);
    remainingMs = 0;
    await vi.advanceTimersByTimeAsync(500 + AFTER_MS);
    expect(started).toBe(1);
  });

  it('stops when the answer comes, before it began and while it plays', async () => {
    filler.await();
    filler.stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(started).toBe(0);
    filler.await();
    await vi.advanceTimersByTimeAsync(AFTER_MS + 700);
    filler.stop();
    const count = played.length;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(played).toHaveLength(count);
  });

  it('stops while its file is still being read', async () => {
    const file = Promise.withResolvers<readonly ReplyFrame[]>();
    load = () => file.promise;
    filler.await();
    await vi.advanceTimersByTimeAsync(AFTER_MS);
    filler.stop();
    file.resolve(FRAMES);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(started).toBe(0);
  });

  it('plays once an outage, each time as an item of its own', async () => {
    for (let outage = 0; outage < 2; outage++) {
      filler.await();
      await vi.advanceTimersByTimeAsync(20_000);
    }
    expect(started).toBe(2);
    expect(played).toHaveLength(100);
    expect(new Set(played.map(({ itemId }) => itemId)).size).toBe(2);
  });

  it('that cannot be read is missed, and no more', async () => {
    load = async () => {
      throw new Error('no such file');
    };
    filler.await();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(played).toEqual([]);
    expect(errors).toMatchObject([{ message: 'no such file' }]);
  });
});
