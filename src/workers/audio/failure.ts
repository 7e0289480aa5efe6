import { InvalidAudioError } from '../../audio/errors.ts';

/** The reason of a failure that is not the input's. */
export const INTERNAL_FAILURE = 'internal';

/** Makes an output of what went wrong with one input, so that no other input suffers from it. */
export function failure(error: unknown): { ok: false; reason: string; message: string } {
  if (error instanceof InvalidAudioError) return { ok: false, reason: error.reason, message: error.message };
  return { ok: false, reason: INTERNAL_FAILURE, message: (error as Error).stack ?? String(error) };
}
