import { signal } from '@preact/signals';

const SECOND_MS = 1_000;

/** The time of day, once a second while the page is looked at: everything that grows older moves at once. */
export const nowMs = signal(Date.now());

/** Whoever changes the page anyway moves the time with it: one frame for both. */
export function tick(): void {
  if (Date.now() - nowMs.peek() > SECOND_MS * 0.9) nowMs.value = Date.now();
}

setInterval(() => {
  if (!document.hidden && Date.now() - nowMs.peek() > SECOND_MS * 1.3) nowMs.value = Date.now();
}, SECOND_MS / 4);
