import { signal } from '@preact/signals';
import { ask, whenSignedOut } from '../api/client.ts';
import { whenRefused } from '../api/event-stream.ts';
import { ApiFailure } from '../api/failure.ts';
import type { Who } from '../api/types.ts';

/** Who looks at the console. `asking`: not known yet; `nobody`: a key is needed. */
export const who = signal<Who | 'asking' | 'nobody'>('asking');
/** Why it is not known. */
export const whoProblem = signal<unknown>(undefined);

whenSignedOut(() => {
  who.value = 'nobody';
});

whenRefused(() => void findOutWho());

export async function findOutWho(): Promise<void> {
  try {
    who.value = await ask<Who>('/console/who');
    whoProblem.value = undefined;
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 401) who.value = 'nobody';
    else whoProblem.value = error;
  }
}

/** @throws {ApiFailure} */
export async function signIn(key: string): Promise<void> {
  await ask('/console/sign-in', { method: 'POST', json: { key } });
  await findOutWho();
}

export async function signOut(): Promise<void> {
  await ask('/console/sign-out', { method: 'POST' });
  who.value = 'nobody';
}
