import type { CallRequest } from './request.ts';

/**
 * What a call, or the taking of one, may fail with, and what is known of it then. The codes are stable. How whoever asked
 * is told is the business of the room that carries the call: HTTP has its statuses and sentences in `src/http/failures.ts`.
 */
export interface CallFailures {
  /** A value that does not go together with others, or with what the call is. */
  readonly invalid_field: {
    readonly field: keyof CallRequest | 'chunkSeq';
    /** Absent: the field is. */
    readonly value?: string | number | undefined;
    readonly rule: string;
  };
  readonly invalid_audio: { readonly why: string };
  readonly session_not_found: { readonly callId: string; readonly why: string };
  readonly ambiguous_call_id: { readonly callId: string; readonly tenantCount: number };
  readonly agent_not_found: { readonly aiAgentRef: string };
  /** The tenant is another than the one that is asked for. */
  readonly forbidden: { readonly tenantId: string };
  readonly tenant_full: { readonly maxSessions: number };
  /** The tenant's calls have cost today what they may. */
  readonly budget_exhausted: {
    readonly spent: number;
    readonly budget: number;
    readonly currency: string;
    /** Until the next day, on which there is a budget again. */
    readonly waitMs: number;
  };
  readonly gateway_full: { readonly maxSessions: number };
  readonly draining: Readonly<Record<string, never>>;
  readonly overloaded: { readonly why: string };
  /** Chunks of the call wait for the upstream. */
  readonly upstream_busy: { readonly chunkCount: number };
  readonly upstream_refused: { readonly why: string };
  readonly upstream_timeout: { readonly why: string };
  /** A defect; `why` says nothing of what is inside. */
  readonly internal: { readonly why: string };
}

export type CallErrorCode = keyof CallFailures;

/** A failure that whoever carries the call is told about. */
export class CallError<Code extends CallErrorCode = CallErrorCode> extends Error {
  readonly code: Code;
  readonly details: CallFailures[Code];

  constructor(code: Code, details: CallFailures[Code], options?: ErrorOptions) {
    super(`${code} ${JSON.stringify(details)}`, options);
    this.name = 'CallError';
    this.code = code;
    this.details = details;
  }
}

/** The gateway does not know the call. */
export function sessionNotFound(callId: string, why = 'no session has this callId'): CallError<'session_not_found'> {
  return new CallError('session_not_found', { callId, why });
}
