import { signal } from '@preact/signals';
import { ask } from '../api/client.ts';
import type { Readiness, Status, Who } from '../api/types.ts';

const EVERY_MS = 5_000;
/** How far back charts reach: half an hour. */
const KEPT = 360;

/** Something that is wrong, in words. */
export type Problem = Pick<Status['problems'][number], 'severity' | 'text'>;

/** What is wrong, the worst first; asked for while somebody is signed in and looks. */
export const problems = signal<readonly Problem[]>([]);
/** Why that is not known. */
export const statusProblem = signal<unknown>(undefined);
/** How the gateway does: the operator's to see. */
export const status = signal<Status | undefined>(undefined);
/** What was answered since the page was opened, oldest first. */
export const pastStatus = signal<readonly { readonly atSeconds: number; readonly status: Status }[]>([]);

async function look({ role }: Who): Promise<void> {
  try {
    if (role === 'operator') {
      const answer = await ask<Status>('/api/voice/status');
      status.value = answer;
      problems.value = answer.problems;
      pastStatus.value = [...pastStatus.value.slice(1 - KEPT), { atSeconds: Date.now() / 1000, status: answer }];
    } else {
      // A gateway that is not ready says so with 503, and why.
      const { ready, reason } = await ask<Readiness>('/ready', { acceptStatus: 503 });
      problems.value = ready ? [] : [{ severity: 'critical', text: `New calls are refused: ${reason ?? ''}` }];
    }
    statusProblem.value = undefined;
  } catch (error) {
    statusProblem.value = error;
  }
}

/** Asks from now on, until the function returned is called. */
export function watchStatus(who: Who): () => void {
  void look(who);
  const timer = setInterval(() => {
    if (!document.hidden) void look(who);
  }, EVERY_MS);
  return () => clearInterval(timer);
}
