import type { ComponentChildren } from 'preact';
import { messageOf } from '../api/failure.ts';

/** Something did not work, in words, where it was asked for. */
export function Failure({ error, children }: { error: unknown; children?: ComponentChildren }) {
  if (error === undefined) return null;
  return (
    <div class="failure" role="alert">
      <strong>{messageOf(error)}</strong> {children}
    </div>
  );
}
