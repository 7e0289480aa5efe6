import { signal } from '@preact/signals';
import { ask } from '../api/client.ts';
import type { Status } from '../api/types.ts';

const EVERY_MS = 5_000;
/** How far back charts reach. */
const KEPT = 360;

/** How the gateway is, asked while somebody is signed in and looks. */
export const status = signal<Status | undefined>(undefined);
export const statusProblem = signal<unknown>(undefined);
/** What was answered since the page was opened, oldest first. */
export const pastStatus = signal<readonly { readonly atSeconds: number; readonly status: Status }[]>([]);

async function look(): Promise<void> {
  try {
    const answer = await ask<Status>('/api/voice/status');
    status.value = answer;
    statusProblem.value = undefined;
    pastStatus.value = [...pastStatus.value.slice(1 - KEPT), { atSeconds: Date.now() / 1000, status: answer }];
  } catch (error) {
    statusProblem.value = error;
  }
}

let timer: ReturnType<typeof setInterval> | undefined;

/** Asks from now on, until the function returned is called. */
export function watchStatus(): () => void {
  void look();
  timer ??= setInterval(() => {
    if (!document.hidden) void look();
  }, EVERY_MS);
  return () => {
    clearInterval(timer);
    timer = undefined;
  };
}
