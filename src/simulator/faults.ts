import { type EventChange, type EventMutation, FIELD_CHANGES, type FieldChange } from './event-mutations.ts';

/** When, in the life of a connection, something breaks. */
export type FaultMoment =
  /** While a reply is being sent: after `afterMs` of its audio. */
  | 'reply'
  /** While the caller speaks: after `afterMs` of audio since `speech_started`. */
  | 'utterance'
  /** After a response that called a function, `afterMs` of wall time behind its `response.done`. */
  | 'tool'
  /** `afterMs` of wall time after the connection was opened. */
  | 'connected';

/** What happens when the caller interrupts, where it is not the usual cancellation. */
export type BargeInVariant =
  /** The response produces nothing until the caller speaks, and is then cancelled without any output. */
  | 'before_output'
  /** The response was generated at once, so that it is complete when the caller speaks: nothing is cancelled. */
  | 'after_generation'
  /** As if `interrupt_response` were false: the response goes on, and the new turn gets none while it is active. */
  | 'ignored'
  /** A few deltas of the cancelled response follow `speech_started`. */
  | 'straggling_deltas';

/**
 * What goes wrong on a connection. Plain data, so that it can be sent to another thread; an empty object is a service in
 * good health.
 */
export interface Faults {
  /** The upgrade is answered with this HTTP status instead of 101. */
  refuseHandshake?: { status: number; retryAfterSeconds?: number };
  /** The upgrade is answered this much later. */
  handshakeDelayMs?: number;
  bargeIn?: BargeInVariant;
  /** The service takes the assistant's audio to be this much shorter than the sum of its deltas when it truncates. */
  truncationShortfallMs?: number;
  /** The socket is destroyed, or closed with a code. Once a connection. */
  drop?: { at: FaultMoment; afterMs?: number; closeCode?: number };
  /** The service falls silent: no events, no pongs, while TCP stays open. Once a connection. */
  stall?: { at: FaultMoment; afterMs?: number };
  /** Every event is held back this long. */
  eventDelayMs?: number;
  /** The session expires this long after it began. */
  sessionDurationMs?: number;
  /** What the session gives as its `expires_at`, whatever the truth is. */
  expiresAt?: unknown;
  /** The handshake's answer has no `Date`: nobody is told the service's time. */
  noDate?: boolean;
  /** Responses end as `failed`; `code: null` sends a message only. `times` responses fail, all of them if left out. */
  failResponses?: { code: string | null; message?: string; times?: number };
  /** Responses end as `incomplete` half-way. */
  incompleteResponses?: { reason: 'max_output_tokens' | 'content_filter'; times?: number };
  /** Every response has two items, and the first one's `output_audio.done` comes after the second has begun. */
  overlappingItems?: boolean;
  /** Events of unknown types and unknown fields in known events are mixed in. */
  unknownEvents?: boolean;
  /** Transcription fails (with this code), comes after the reply, or never comes. */
  transcription?: { outcome: 'failed' | 'late' | 'never'; code?: string };
  /** `session.update` takes effect but `session.updated` never comes. */
  ignoreSessionUpdate?: boolean;
  /** `session.update` is refused with this code. `times` updates are, all of them if left out. */
  refuseSessionUpdate?: { code: string; message?: string; times?: number };
  /** Single events are lost, repeated, late, or wrong in one field. */
  mutations?: readonly EventMutation[];
  /** A `session.update` that asks for transcription is refused, as where the model for it is gone. */
  refuseTranscription?: { code: string; param?: string | null };
}

/** A query that names an unknown fault or has a number that is none. The handshake is refused with its message. */
export class FaultQueryError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FaultQueryError';
  }
}

class FaultQuery {
  readonly #query: URLSearchParams;

  constructor(query: URLSearchParams) {
    this.#query = query;
  }

  number(name: string): number | undefined {
    const text = this.#query.get(name);
    if (text === null) return undefined;
    const value = Number(text);
    if (text === '' || !Number.isFinite(value) || value < 0)
      throw new FaultQueryError(`${name}=${text} is not a number`);
    return value;
  }

  text(name: string): string | undefined {
    return this.#query.get(name) ?? undefined;
  }
}

/** The fields of `record` that have a value. */
function defined<T extends object>(record: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as T;
}

function moment(at: FaultMoment, query: FaultQuery): { at: FaultMoment; afterMs?: number } {
  return defined<{ at: FaultMoment; afterMs?: number }>({ at, afterMs: query.number('fault_after_ms') });
}

function dropAt(at: FaultMoment) {
  return (query: FaultQuery): Faults => ({
    drop: defined<NonNullable<Faults['drop']>>({ ...moment(at, query), closeCode: query.number('fault_close_code') }),
  });
}

function stallAt(at: FaultMoment) {
  return (query: FaultQuery): Faults => ({ stall: moment(at, query) });
}

function transcription(outcome: 'failed' | 'late' | 'never') {
  return (query: FaultQuery): Faults => ({
    transcription: defined<NonNullable<Faults['transcription']>>({ outcome, code: query.text('fault_code') }),
  });
}

function incomplete(query: FaultQuery): Faults {
  const reason = query.text('fault_code') ?? 'max_output_tokens';
  if (reason !== 'max_output_tokens' && reason !== 'content_filter') {
    throw new FaultQueryError(`fault_code=${reason} is not max_output_tokens or content_filter`);
  }
  return {
    incompleteResponses: defined<NonNullable<Faults['incompleteResponses']>>({
      reason,
      times: query.number('fault_times'),
    }),
  };
}

function failed(query: FaultQuery): Faults {
  const code = query.text('fault_code') ?? 'server_error';
  return {
    failResponses: defined<NonNullable<Faults['failResponses']>>({
      code: code === 'null' ? null : code,
      message: query.text('fault_message'),
      times: query.number('fault_times'),
    }),
  };
}

function refuseUpdate(query: FaultQuery): Faults {
  return {
    refuseSessionUpdate: defined<NonNullable<Faults['refuseSessionUpdate']>>({
      code: query.text('fault_code') ?? 'invalid_value',
      message: query.text('fault_message'),
      times: query.number('fault_times'),
    }),
  };
}

function refuseHandshake(query: FaultQuery): Faults {
  return {
    refuseHandshake: defined<NonNullable<Faults['refuseHandshake']>>({
      status: query.number('fault_status') ?? 503,
      retryAfterSeconds: query.number('fault_retry_after'),
    }),
  };
}

function eventChange(query: FaultQuery): EventChange {
  const kind = query.text('fault_change') ?? 'drop';
  if (kind === 'drop' || kind === 'double') return { kind };
  if (kind === 'delay') {
    const ms = query.number('fault_delay_ms');
    return ms === undefined ? { kind, events: query.number('fault_events') ?? 3 } : { kind, ms };
  }
  if (!FIELD_CHANGES.includes(kind as FieldChange)) {
    const known = ['drop', 'double', 'delay', ...FIELD_CHANGES].join(', ');
    throw new FaultQueryError(`fault_change=${kind} is not one of ${known}`);
  }
  const path = query.text('fault_path');
  if (!path) throw new FaultQueryError(`fault_change=${kind} needs fault_path, such as response.output.0.id`);
  return { kind: kind as FieldChange, path };
}

function mutateEvent(query: FaultQuery): Faults {
  const mutation = defined<EventMutation>({
    event: query.text('fault_event'),
    nth: query.number('fault_nth'),
    change: eventChange(query),
  });
  return { mutations: [mutation] };
}

/** Faults by the names that a URL may give them (`?fault=drop_mid_reply,unknown_events&fault_after_ms=300`). */
const FAULTS_BY_NAME: Record<string, (query: FaultQuery) => Faults> = {
  refuse_handshake: refuseHandshake,
  slow_handshake: (query) => ({ handshakeDelayMs: query.number('fault_after_ms') ?? 5000 }),
  barge_in_before_output: () => ({ bargeIn: 'before_output' }),
  barge_in_after_generation: () => ({ bargeIn: 'after_generation' }),
  barge_in_ignored: () => ({ bargeIn: 'ignored' }),
  barge_in_straggling_deltas: () => ({ bargeIn: 'straggling_deltas' }),
  truncation_shortfall: (query) => ({ truncationShortfallMs: query.number('fault_shortfall_ms') ?? 85 }),
  drop_mid_reply: dropAt('reply'),
  drop_mid_utterance: dropAt('utterance'),
  drop_mid_tool: dropAt('tool'),
  drop: dropAt('connected'),
  stall_mid_reply: stallAt('reply'),
  stall_mid_utterance: stallAt('utterance'),
  stall_mid_tool: stallAt('tool'),
  stall: stallAt('connected'),
  delay: (query) => ({ eventDelayMs: query.number('fault_delay_ms') ?? 500 }),
  expire: (query) => ({ sessionDurationMs: query.number('fault_after_ms') ?? 120_000 }),
  wrong_expiry: (query) => ({ expiresAt: query.number('fault_expires_at') ?? 0 }),
  no_date: () => ({ noDate: true }),
  failed_response: failed,
  incomplete_response: incomplete,
  overlapping_items: () => ({ overlappingItems: true }),
  unknown_events: () => ({ unknownEvents: true }),
  transcription_failed: transcription('failed'),
  transcription_late: transcription('late'),
  transcription_never: transcription('never'),
  session_updated_never: () => ({ ignoreSessionUpdate: true }),
  session_update_refused: refuseUpdate,
  mutate_event: mutateEvent,
  transcription_refused: (query) => ({ refuseTranscription: { code: query.text('fault_code') ?? 'model_not_found' } }),
};

/** Names that `fault=` understands. */
export const FAULT_NAMES = Object.keys(FAULTS_BY_NAME);

/** What a query asks for. */
export interface QueriedFaults {
  faults: Faults;
  /** Only the first so many connections get them; all if undefined. */
  connections: number | undefined;
}

/**
 * The faults that a URL's query asks for: `fault` (names, separated by commas or repeated) and the `fault_…` numbers
 * and texts they read. `fault_count=N` limits them to the first N connections with this query.
 * @returns undefined when the query names no fault
 * @throws FaultQueryError
 */
export function faultsFromQuery(search: URLSearchParams): QueriedFaults | undefined {
  const names = search.getAll('fault').flatMap((value) => value.split(','));
  if (names.length === 0) return undefined;
  const query = new FaultQuery(search);
  const faults = names.map((name) => {
    const make = FAULTS_BY_NAME[name];
    if (!make) throw new FaultQueryError(`fault=${name} is not one of ${FAULT_NAMES.join(', ')}`);
    return make(query);
  });
  return { faults: Object.assign({}, ...faults), connections: query.number('fault_count') };
}

/** Counts down the `times` of faults that strike a limited number of times. */
export class FaultBudget {
  readonly #struck = new Map<object, number>();

  /** Whether `fault` strikes now; if it does, that counts. */
  strikes<T extends { times?: number }>(fault: T | undefined): fault is T {
    if (!fault) return false;
    const struck = this.#struck.get(fault) ?? 0;
    if (struck >= (fault.times ?? Number.POSITIVE_INFINITY)) return false;
    this.#struck.set(fault, struck + 1);
    return true;
  }
}
