import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Playhead } from '../../../src/call/reply/playhead.ts';
import { Reply } from '../../../src/call/reply/reply.ts';

function call() {
  const playhead = new Playhead();
  const replies = new Map<string, Reply>();
  const reply = (itemId: string) => {
    const known = replies.get(itemId) ?? new Reply(itemId);
    replies.set(itemId, known);
    return known;
  };
  return {
    playhead,
    reply,
    deliver: (itemId: string, playMs: number, audioMs: number, nowMs: number) =>
      playhead.delivered(reply(itemId), playMs, audioMs, nowMs),
    /** Says that an item was delivered as frames of 60 ms. */
    speak(itemId: string, frames: number, nowMs: number): void {
      for (let i = 0; i < frames; i++) playhead.delivered(reply(itemId), 60, 60, nowMs);
    },
    heardMs: (itemId: string, nowMs: number) => playhead.heardMs(reply(itemId), nowMs),
  };
}

describe('the playhead', () => {
  it('runs in real time through what was delivered, and stops at its end', () => {
    const { playhead, speak, heardMs } = call();
    speak('a', 10, 1000);
    expect(heardMs('a', 1000)).toBe(0);
    expect(heardMs('a', 1250)).toBe(250);
    expect(playhead.remainingMs(1250)).toBe(350);
    expect(heardMs('a', 9000)).toBe(600);
    expect(playhead.remainingMs(9000)).toBe(0);
  });

  it('starts again at the moment of delivery after it had run dry', () => {
    const { speak, heardMs } = call();
    speak('a', 1, 0);
    speak('a', 1, 500);
    expect(heardMs('a', 500)).toBe(60);
    expect(heardMs('a', 530)).toBe(90);
    expect(heardMs('a', 1000)).toBe(120);
  });

  it('queues behind what still plays', () => {
    const { speak, heardMs } = call();
    speak('a', 10, 0);
    speak('b', 10, 100);
    expect(heardMs('b', 600)).toBe(0);
    expect(heardMs('b', 700)).toBe(100);
    expect(heardMs('a', 700)).toBe(600);
  });

  it('does not count padding as speech', () => {
    const { heardMs, deliver } = call();
    deliver('a', 60, 60, 0);
    deliver('a', 60, 20, 0);
    deliver('b', 60, 60, 0);
    expect(heardMs('a', 1000)).toBe(80);
    // The padding plays all the same, before the next item.
    expect(heardMs('b', 130)).toBe(10);
  });

  it('believes the client, up to what was delivered', () => {
    const { playhead, speak, heardMs } = call();
    speak('a', 10, 0);
    playhead.report(100, 400);
    expect(heardMs('a', 400)).toBe(100);
    expect(heardMs('a', 450)).toBe(150);
    playhead.report(5000, 500);
    expect(heardMs('a', 500)).toBe(600);
  });

  it('keeps what was heard of an interrupted item and starts the next generation at zero', () => {
    const { playhead, speak, heardMs } = call();
    speak('a', 10, 0);
    playhead.interrupt(250);
    expect(heardMs('a', 9000)).toBe(250);
    expect(playhead.positionMs(9000)).toBe(0);
    speak('b', 10, 1000);
    expect(heardMs('b', 1100)).toBe(100);
    playhead.report(200, 1100);
    expect(heardMs('b', 1100)).toBe(200);
    expect(heardMs('a', 1100)).toBe(250);
  });

  it('lets go of what was played, once no report will say otherwise', () => {
    const { playhead, speak, heardMs, reply } = call();
    speak('a', 10, 0);
    playhead.settle(10_599);
    playhead.report(300, 10_599);
    expect(heardMs('a', 10_599)).toBe(300);
    playhead.settle(20_899);
    expect(reply('a').settledHeardMs).toBe(600);
    speak('b', 10, 30_000);
    expect(heardMs('b', 30_250)).toBe(250);
  });

  it('never takes more for heard than was delivered, nor time back, whatever happens', () => {
    const event = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant('frames' as const), item: fc.nat(3), count: fc.nat(20) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('report' as const), playedMs: fc.nat(5000) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('interrupt' as const) }) },
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(800), event), { maxLength: 60 }), (history) => {
        const { playhead, speak, heardMs } = call();
        const deliveredMs = [0, 0, 0, 0];
        let nowMs = 0;
        for (const [afterMs, next] of history) {
          const before = deliveredMs.map((_, item) => heardMs(`i${item}`, nowMs));
          nowMs += afterMs;
          if (next.do === 'frames') {
            speak(`i${next.item}`, next.count, nowMs);
            deliveredMs[next.item]! += next.count * 60;
          } else if (next.do === 'interrupt') playhead.interrupt(nowMs);
          else playhead.report(next.playedMs, nowMs);
          for (const [item, total] of deliveredMs.entries()) {
            const heard = heardMs(`i${item}`, nowMs);
            expect(heard).toBeGreaterThanOrEqual(0);
            expect(heard).toBeLessThanOrEqual(total + 1e-6);
            // Only the client may say that less was heard than was thought.
            if (next.do !== 'report') expect(heard).toBeGreaterThanOrEqual(before[item]! - 1e-6);
          }
          const heard = deliveredMs.reduce((sum, _, item) => sum + heardMs(`i${item}`, nowMs), 0);
          expect(heard).toBeGreaterThanOrEqual(playhead.positionMs(nowMs) - 1e-6);
        }
      }),
      { seed: 20_260_805, numRuns: 300 },
    );
  });
});
