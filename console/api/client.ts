import { ApiFailure } from './failure.ts';
import type { Failure } from './types.ts';

export interface AskOptions {
  readonly method?: 'GET' | 'POST';
  readonly json?: unknown;
  /** An answer of this status is none that failed. */
  readonly acceptStatus?: number;
  /** A body that is sent as it is. */
  readonly body?: BodyInit;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whose call, where several tenants may have one of this name. */
  readonly tenantId?: string | undefined;
  /** Default: {@link ANSWER_DEADLINE_MS}. `none`: the caller sees to it, with `signal`. */
  readonly timeoutMs?: number | 'none';
  readonly signal?: AbortSignal;
}

/** Longest wait for an answer to an ordinary question. */
const ANSWER_DEADLINE_MS = 15_000;

let onSignedOut: () => void = () => {};

/** Has `handler` told whenever the gateway does not know who asks. */
export function whenSignedOut(handler: () => void): void {
  onSignedOut = handler;
}

/**
 * Asks the gateway.
 * @throws {ApiFailure}
 */
export async function ask<Answer>(path: string, options: AskOptions = {}): Promise<Answer> {
  const answer = await request(path, options);
  if (answer.status === 204) return undefined as Answer;
  return (await answer.json()) as Answer;
}

/**
 * As {@link ask}, for answers that are no JSON.
 * @throws {ApiFailure}
 */
export async function request(path: string, options: AskOptions = {}): Promise<Response> {
  const { method = 'GET', json, body, headers, tenantId, timeoutMs = ANSWER_DEADLINE_MS, signal } = options;
  const deadline = timeoutMs === 'none' ? undefined : AbortSignal.timeout(timeoutMs);
  const signals = [signal, deadline].filter((one) => one !== undefined);
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      credentials: 'same-origin',
      cache: 'no-store',
      headers: {
        ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        ...(tenantId === undefined ? {} : { 'x-tenant-id': tenantId }),
        ...headers,
      },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      ...(body === undefined ? {} : { body }),
      signal: AbortSignal.any(signals),
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    const why = deadline?.aborted ? `did not answer within ${Number(timeoutMs) / 1000} s` : 'cannot be reached';
    throw new ApiFailure('unreachable', `The gateway ${why}.`, 0, undefined, { cause });
  }
  if (answer.ok || answer.status === options.acceptStatus) return answer;
  const failure = (await answer.json().catch(() => ({}))) as Partial<Failure>;
  if (answer.status === 401) onSignedOut();
  throw new ApiFailure(
    failure.code ?? 'internal',
    failure.error ?? `The gateway answered ${answer.status}.`,
    answer.status,
    failure.requestId,
  );
}
