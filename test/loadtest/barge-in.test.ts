import { expect, it } from 'vitest';
import { type BargeIn, BargeInWatch } from '../../loadtest/barge-in.ts';

/** Windows of 20 ms that arrive in real time and are played 100 ms later. */
function line() {
  const bargeIns: BargeIn[] = [];
  const watch = new BargeInWatch((bargeIn) => bargeIns.push(bargeIn));
  let nowMs = 0;
  const hear = (isSilent: boolean, forMs: number) => {
    for (const endMs = nowMs + forMs; nowMs < endMs; nowMs += 20) watch.heard(isSilent, 20, nowMs, nowMs + 100);
  };
  return { bargeIns, watch, hear };
}

it('takes the time from the word of the upstream to the silence that lasts', () => {
  const { bargeIns, watch, hear } = line();
  hear(true, 200);
  hear(false, 1_000);
  // A pause in the reply, before the caller speaks at 1350 ms.
  hear(true, 100);
  hear(false, 100);
  hear(true, 200);
  expect(bargeIns).toEqual([]);
  // The news comes behind what it did.
  watch.speechStarted(1_350);
  hear(true, 400);
  expect(bargeIns).toEqual([{ seenMs: 50, heardMs: 150 }]);
});

it('takes none where nothing was being said', () => {
  const { bargeIns, watch, hear } = line();
  watch.speechStarted(0);
  hear(true, 500);
  hear(false, 300);
  hear(true, 300);
  watch.speechStarted(950);
  hear(true, 1_000);
  expect(bargeIns).toEqual([]);
});

it('takes none of a reply that goes on', () => {
  const { bargeIns, watch, hear } = line();
  hear(false, 1_000);
  watch.speechStarted(900);
  for (let i = 0; i < 20; i++) {
    hear(false, 300);
    hear(true, 100);
  }
  hear(true, 1_000);
  expect(bargeIns).toEqual([]);
});
