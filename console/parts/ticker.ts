import { signal } from '@preact/signals';

/** The time of day, once a second while the page is looked at: everything that grows older moves at once. */
export const nowMs = signal(Date.now());

setInterval(() => {
  if (!document.hidden) nowMs.value = Date.now();
}, 1_000);
