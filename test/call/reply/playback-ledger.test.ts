import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PlaybackLedger } from '../../../src/call/reply/playback-ledger.ts';

/** Says that an item was received and delivered as frames of 60 ms. */
function speak(ledger: PlaybackLedger, itemId: string, frames: number, nowMs: number): void {
  ledger.received(itemId, frames * 60);
  for (let i = 0; i < frames; i++) ledger.delivered(itemId, 60, 60, nowMs);
}

describe('PlaybackLedger', () => {
  it('knows nothing of an item it never saw', () => {
    expect(new PlaybackLedger().playback('x', 0)).toEqual({ receivedMs: 0, deliveredMs: 0, heardMs: 0 });
  });

  it('runs in real time through what was delivered, and stops at its end', () => {
    const ledger = new PlaybackLedger();
    speak(ledger, 'a', 10, 1000);
    expect(ledger.playback('a', 1000).heardMs).toBe(0);
    expect(ledger.playback('a', 1250).heardMs).toBe(250);
    expect(ledger.remainingMs(1250)).toBe(350);
    expect(ledger.playback('a', 9000).heardMs).toBe(600);
    expect(ledger.remainingMs(9000)).toBe(0);
  });

  it('starts again at the moment of delivery after it had run dry', () => {
    const ledger = new PlaybackLedger();
    speak(ledger, 'a', 1, 0);
    speak(ledger, 'a', 1, 500);
    expect(ledger.playback('a', 500).heardMs).toBe(60);
    expect(ledger.playback('a', 530).heardMs).toBe(90);
    expect(ledger.playback('a', 1000).heardMs).toBe(120);
  });

  it('queues behind what still plays', () => {
    const ledger = new PlaybackLedger();
    speak(ledger, 'a', 10, 0);
    speak(ledger, 'b', 10, 100);
    expect(ledger.playback('b', 600).heardMs).toBe(0);
    expect(ledger.playback('b', 700).heardMs).toBe(100);
    expect(ledger.playback('a', 700).heardMs).toBe(600);
  });

  it('does not count what is received but not delivered', () => {
    const ledger = new PlaybackLedger();
    ledger.received('a', 600);
    expect(ledger.playback('a', 5000)).toEqual({ receivedMs: 600, deliveredMs: 0, heardMs: 0 });
  });

  it('does not count padding as speech', () => {
    const ledger = new PlaybackLedger();
    ledger.received('a', 80);
    ledger.delivered('a', 60, 60, 0);
    ledger.delivered('a', 60, 20, 0);
    ledger.delivered('b', 60, 60, 0);
    expect(ledger.playback('a', 1000).heardMs).toBe(80);
    // The padding plays all the same, before the next item.
    expect(ledger.playback('b', 130).heardMs).toBe(10);
  });

  it('believes the client, up to what was delivered', () => {
    const ledger = new PlaybackLedger();
    speak(ledger, 'a', 10, 0);
    ledger.report(100, 400);
    expect(ledger.playback('a', 400).heardMs).toBe(100);
    expect(ledger.playback('a', 450).heardMs).toBe(150);
    ledger.report(5000, 500);
    expect(ledger.playback('a', 500).heardMs).toBe(600);
  });

  it('keeps what was heard of an interrupted item and starts the next generation at zero', () => {
    const ledger = new PlaybackLedger();
    speak(ledger, 'a', 10, 0);
    ledger.interrupt(250);
    expect(ledger.playback('a', 9000).heardMs).toBe(250);
    expect(ledger.playheadMs(9000)).toBe(0);
    speak(ledger, 'b', 10, 1000);
    expect(ledger.playback('b', 1100).heardMs).toBe(100);
    ledger.report(200, 1100);
    expect(ledger.playback('b', 1100).heardMs).toBe(200);
    expect(ledger.playback('a', 1100).heardMs).toBe(250);
  });

  it('knows an item is delivered when all that came of it was, and no more comes', () => {
    const ledger = new PlaybackLedger();
    speak(ledger, 'a', 2, 0);
    expect(ledger.isDelivered('a')).toBe(false);
    ledger.completed('a');
    expect(ledger.isDelivered('a')).toBe(true);
    ledger.received('b', 120);
    ledger.completed('b');
    ledger.delivered('b', 60, 60, 0);
    expect(ledger.isDelivered('b')).toBe(false);
    ledger.delivered('b', 60, 60, 0);
    expect(ledger.isDelivered('b')).toBe(true);
  });

  it('never takes more for heard than was delivered, nor time back, whatever happens', () => {
    const event = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant('frames' as const), item: fc.nat(3), count: fc.nat(20) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('report' as const), playedMs: fc.nat(5000) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('interrupt' as const) }) },
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(800), event), { maxLength: 60 }), (history) => {
        const ledger = new PlaybackLedger();
        const deliveredMs = [0, 0, 0, 0];
        let nowMs = 0;
        for (const [afterMs, next] of history) {
          const before = deliveredMs.map((_, item) => ledger.playback(`i${item}`, nowMs).heardMs);
          nowMs += afterMs;
          if (next.do === 'frames') {
            speak(ledger, `i${next.item}`, next.count, nowMs);
            deliveredMs[next.item]! += next.count * 60;
          } else if (next.do === 'interrupt') ledger.interrupt(nowMs);
          else ledger.report(next.playedMs, nowMs);
          for (const [item, total] of deliveredMs.entries()) {
            const { heardMs, deliveredMs: delivered } = ledger.playback(`i${item}`, nowMs);
            expect(delivered).toBe(total);
            expect(heardMs).toBeGreaterThanOrEqual(0);
            expect(heardMs).toBeLessThanOrEqual(total + 1e-6);
            // Only the client may say that less was heard than was thought.
            if (next.do !== 'report') expect(heardMs).toBeGreaterThanOrEqual(before[item]! - 1e-6);
          }
          const heardMs = deliveredMs.reduce((sum, _, item) => sum + ledger.playback(`i${item}`, nowMs).heardMs, 0);
          expect(heardMs).toBeGreaterThanOrEqual(ledger.playheadMs(nowMs) - 1e-6);
        }
      }),
      { seed: 20_260_805, numRuns: 300 },
    );
  });
});
