import { describe, expect, it } from 'vitest';
import { Arrivals } from '../../loadtest/arrivals.ts';

function stream(leadMs: number, frameMs: number) {
  const lateMs: number[] = [];
  const gapsMs: number[] = [];
  const arrivals = new Arrivals(
    { leadMs, frameMs },
    { onFrame: (ms) => lateMs.push(ms), onUnderrun: (ms) => gapsMs.push(ms) },
  );
  return { arrivals, lateMs, gapsMs };
}

describe('arrivals of a paced stream', () => {
  it('are on time when a frame comes for each that was played, and those of the reserve are no schedule’s', () => {
    const { arrivals, lateMs, gapsMs } = stream(120, 60);
    arrivals.arrived(120, 1_000);
    for (let i = 1; i <= 10; i++) arrivals.arrived(60, 1_000 + i * 60);
    expect(lateMs).toEqual(Array(10).fill(0));
    expect(gapsMs).toEqual([]);
    expect(arrivals.playsAtMs(60)).toBe(1_060);
  });

  it('are late by what they come behind, whatever became of the ones before', () => {
    const { arrivals, lateMs } = stream(120, 60);
    arrivals.arrived(120, 0);
    arrivals.arrived(60, 67);
    arrivals.arrived(60, 120);
    arrivals.arrived(60, 195);
    expect(lateMs).toEqual([7, 0, 15]);
  });

  it('are judged by the most punctual one', () => {
    const { arrivals, lateMs } = stream(120, 60);
    // The first bytes were 9 ms on the way longer than any others.
    arrivals.arrived(120, 9);
    arrivals.arrived(60, 60);
    arrivals.arrived(60, 125);
    expect(lateMs).toEqual([0, 5]);
  });

  it('count frames when they are whole, however they are cut', () => {
    const { arrivals, lateMs } = stream(40, 20);
    arrivals.arrived(40, 0);
    arrivals.arrived(5, 20);
    arrivals.arrived(15, 23);
    arrivals.arrived(40, 60);
    expect(lateMs).toEqual([3, 20, 0]);
  });

  it('begin anew after an underrun, whose frames fill the reserve', () => {
    const { arrivals, lateMs, gapsMs } = stream(120, 60);
    arrivals.arrived(120, 0);
    arrivals.arrived(180, 500);
    arrivals.arrived(60, 620);
    expect(gapsMs).toEqual([380]);
    // 120 ms fill the reserve; the next is due at once, and the one after it when a frame has been played.
    expect(lateMs).toEqual([0, 60]);
    expect(arrivals.playsAtMs(120)).toBe(440);
  });
});
