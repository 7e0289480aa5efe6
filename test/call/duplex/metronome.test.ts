import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { BEAT_MS, Metronome, type OnBeat } from '../../../src/call/duplex/metronome.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'hrtime'] });
});
afterEach(() => vi.useRealTimers());

function recorder(): OnBeat & { beats: number[] } {
  const beats: number[] = [];
  return { beats, beat: (beatMs) => void beats.push(beatMs) };
}

it('beats on an absolute schedule for all who joined', () => {
  const metronome = new Metronome(() => {});
  const [a, b] = [recorder(), recorder()];
  metronome.add(a);
  vi.advanceTimersByTime(50);
  metronome.add(b);
  vi.advanceTimersByTime(1000);
  expect(a.beats.length).toBeGreaterThanOrEqual(51);
  expect(a.beats.every((beatMs) => beatMs % BEAT_MS === 0)).toBe(true);
  expect(a.beats.slice(1).every((beatMs, i) => beatMs - a.beats[i]! === BEAT_MS)).toBe(true);
  expect(a.beats.slice(-b.beats.length)).toEqual(b.beats);
  metronome.close();
});

it('has no timer while nobody listens', () => {
  const metronome = new Metronome(() => {});
  const a = recorder();
  expect(vi.getTimerCount()).toBe(0);
  metronome.add(a);
  expect(vi.getTimerCount()).toBe(1);
  metronome.remove(a);
  metronome.remove(a);
  expect(vi.getTimerCount()).toBe(0);
});

it('goes on for the others when one throws', () => {
  const errors: unknown[] = [];
  const metronome = new Metronome((error) => errors.push(error));
  const b = recorder();
  metronome.add({
    beat() {
      throw new Error('a bug');
    },
  });
  metronome.add(b);
  vi.advanceTimersByTime(100);
  expect(b.beats.length).toBeGreaterThanOrEqual(4);
  expect(errors.length).toBe(b.beats.length);
  metronome.close();
});

it('lets a member leave on its beat', () => {
  const metronome = new Metronome(() => {});
  let beats = 0;
  const once: OnBeat = {
    beat() {
      beats += 1;
      metronome.remove(once);
    },
  };
  metronome.add(once);
  vi.advanceTimersByTime(200);
  expect(beats).toBe(1);
  expect(vi.getTimerCount()).toBe(0);
});
