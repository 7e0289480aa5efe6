import type { TraceContext } from './context.ts';

/** A call that is over, as its trace tells it. Times of turns and events are milliseconds since it began. */
export interface TracedCall {
  readonly context: TraceContext;
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly attributes: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Why it could not go on, or did not begin. */
  readonly error?: string | undefined;
  readonly turns: readonly TracedTurn[];
  readonly events: readonly TracedEvent[];
}

export interface TracedTurn {
  readonly turn: number;
  readonly trigger: string;
  readonly atMs: number;
  readonly speechMs?: number;
  readonly hops: readonly {
    readonly hop: string;
    readonly atMs: number;
    readonly tookMs: number;
    readonly tool?: string;
    readonly durationMs?: number;
  }[];
  readonly latencyMs?: number;
  readonly status?: string;
  readonly interrupted?: { readonly atMs: number; readonly reactionMs: number; readonly heardMs: number };
}

export interface TracedEvent {
  readonly atMs: number;
  readonly type: string;
  readonly [detail: string]: unknown;
}
