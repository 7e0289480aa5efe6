import { signal } from '@preact/signals';
import { ask } from '../api/client.ts';
import type { Health, Readiness } from '../api/types.ts';

const EVERY_MS = 5_000;
/** How far back charts reach: half an hour. */
const KEPT = 360;

/** How the gateway is. */
export interface Status {
  readonly health: Health;
  readonly readiness: Readiness;
}

/** The last answer; asked for while somebody is signed in and looks. */
export const status = signal<Status | undefined>(undefined);
export const statusProblem = signal<unknown>(undefined);
/** What was answered since the page was opened, oldest first. */
export const pastStatus = signal<readonly { readonly atSeconds: number; readonly status: Status }[]>([]);

/** What is wrong, in words, the worst first. */
export function problemsOf({ health, readiness }: Status): string[] {
  const problems: string[] = [];
  if (health.status === 'draining') problems.push('The gateway is being stopped: it takes no new calls.');
  else if (!readiness.ready) problems.push(`New calls are refused: ${readiness.reason ?? 'nobody says why'}.`);
  return problems;
}

async function look(): Promise<void> {
  try {
    // A gateway that is not ready says so with 503, and why.
    const [health, readiness] = await Promise.all([
      ask<Health>('/health'),
      ask<Readiness>('/ready', { acceptStatus: 503 }),
    ]);
    status.value = { health, readiness };
    statusProblem.value = undefined;
    pastStatus.value = [...pastStatus.value.slice(1 - KEPT), { atSeconds: Date.now() / 1000, status: status.value }];
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
