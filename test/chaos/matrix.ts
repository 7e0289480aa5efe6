import type { EventChange, EventMutation, FieldChange } from '../../src/simulator/server.ts';
import { Random } from '../fuzz/random.ts';
import { type Conversation, conversationNamed } from './conversations.ts';

/** A server event of a recorded conversation. */
export interface RecordedEvent {
  /** Which of the call's connections it came on, from 1. */
  readonly connection: number;
  readonly event: Readonly<Record<string, unknown>> & { readonly type: string };
}

/** One conversation with one event changed in one way. */
export interface ChaosCase {
  /** `interruption/1/response.done@2/null/response.output`: names the case for `--case`. */
  readonly id: string;
  readonly conversation: Conversation;
  /** Which of the call's connections is mutated, from 1. */
  readonly connection: number;
  readonly mutation: EventMutation;
  /** The mutation without its field and numbers: `null`, `delay 5 s`. */
  readonly kind: string;
}

const LATE_MS = 5_000;
const LATE_EVENTS = 3;

const WHOLE: readonly [kind: string, change: EventChange][] = [
  ['drop', { kind: 'drop' }],
  ['double', { kind: 'double' }],
  ['delay-3', { kind: 'delay', events: LATE_EVENTS }],
  ['delay-5s', { kind: 'delay', ms: LATE_MS }],
];

/** Kinds of mutations in the order of the table. */
export const KINDS: readonly string[] = [
  ...WHOLE.map(([kind]) => kind),
  ...(['null', 'remove', 'wrong_type', 'empty', 'negative', 'huge', 'cut'] satisfies FieldChange[]),
];

/** What can be wrong with a field that has this value. */
function changesOf(value: unknown): FieldChange[] {
  const usual: FieldChange[] = value === null ? ['remove', 'wrong_type'] : ['null', 'remove', 'wrong_type'];
  if (typeof value === 'string') return [...usual, 'empty', 'cut'];
  if (typeof value === 'number') return [...usual, 'negative', 'huge'];
  return usual;
}

/** Every field of an event with its path; of arrays the first element stands for all. */
function* fieldsOf(value: unknown, path: string): Generator<[path: string, value: unknown]> {
  if (typeof value !== 'object' || value === null) return;
  const entries = Array.isArray(value) ? Object.entries(value).slice(0, 1) : Object.entries(value);
  for (const [name, field] of entries) {
    const at = path === '' ? name : `${path}.${name}`;
    yield [at, field];
    // The schema of a function's arguments is ours, sent back.
    if (name !== 'parameters') yield* fieldsOf(field, at);
  }
}

interface Place {
  readonly nth: number;
  readonly event: RecordedEvent['event'];
  /** Whether an event before it was of the same type and fields, and came in the same place. */
  readonly isRepeated: boolean;
}

/**
 * A connection's events with their numbers by type. Of a row of deltas the first, one in the middle and the last stand
 * for all.
 */
function placesOf(events: readonly RecordedEvent[]): Place[] {
  const counts = new Map<string, number>();
  const rows = new Map<string, Place[]>();
  const known = new Set<string>();
  let previousType = '';
  for (const { event } of events) {
    const { type } = event;
    const nth = (counts.get(type) ?? 0) + 1;
    counts.set(type, nth);
    const isDelta = type.endsWith('.delta');
    const shape = [isDelta ? '' : previousType, type, ...[...fieldsOf(event, '')].map(([path]) => path)].join(' ');
    const row = isDelta ? `${type} ${event['item_id']}` : `${type} ${nth}`;
    rows.set(row, [...(rows.get(row) ?? []), { nth, event, isRepeated: known.has(shape) }]);
    known.add(shape);
    previousType = type;
  }
  return [...rows.values()].flatMap((row) =>
    row.filter((_, index) => index === 0 || index === Math.floor(row.length / 2) || index === row.length - 1),
  );
}

/**
 * What can be wrong with the events of a conversation. Every event is lost, repeated and late; the fields of events that
 * are alike and come in the same place are changed in the first of them, unless `isWhole`.
 */
export function casesOf(conversation: Conversation, recording: readonly RecordedEvent[], isWhole = false): ChaosCase[] {
  const cases: ChaosCase[] = [];
  const connection = conversation.mutates === 'second_connection' ? 2 : 1;
  for (const { nth, event, isRepeated } of placesOf(recording.filter((one) => one.connection === connection))) {
    // The set-up of a first connection is the same everywhere; one conversation has it.
    if (conversation.mutates === 'turns' && /^session\.(created|updated)$/.test(event.type)) continue;
    const at = `${conversation.name}/${connection}/${event.type}@${nth}`;
    const add = (kind: string, change: EventChange, path?: string) =>
      cases.push({
        id: [at, kind, ...(path === undefined ? [] : [path])].join('/'),
        conversation,
        connection,
        mutation: { event: event.type, nth, change },
        kind,
      });
    for (const [kind, change] of WHOLE) add(kind, change);
    if (isRepeated && !isWhole) continue;
    for (const [path, value] of fieldsOf(event, '')) {
      for (const kind of changesOf(value)) add(kind, { kind, path }, path);
    }
  }
  return cases;
}

/** The case of an id, whether a recording has it or not. @throws Error when it is none */
export function caseOf(id: string): ChaosCase {
  const [name = '', connection = '', place = '', kind = '', path] = id.split('/');
  const [, event, nth] = /^(.+)@(\d+)$/.exec(place) ?? [];
  const whole = WHOLE.find(([one]) => one === kind)?.[1];
  const change = whole ?? (path === undefined ? undefined : { kind: kind as FieldChange, path });
  if (!event || !change || !KINDS.includes(kind) || !/^[1-9]$/.test(connection)) {
    throw new Error(`${id} is no case: it must look like turns/1/response.done@1/null/response.output`);
  }
  const mutation = { event, nth: Number(nth), change };
  return { id, conversation: conversationNamed(name), connection: Number(connection), mutation, kind };
}

/** So many of the cases, chosen by the seed, in the order that they had; all of them if there are no more. */
export function sampleOf(cases: readonly ChaosCase[], count: number, seed: number): ChaosCase[] {
  const random = new Random(seed);
  return shuffled(cases, random).slice(0, count);
}

/** Neighbours in the matrix break alike: in another order one trouble does not come all at once. */
export function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  const result = [...items];
  for (let at = result.length - 1; at > 0; at--) {
    const other = random.int(0, at);
    [result[at], result[other]] = [result[other]!, result[at]!];
  }
  return result;
}
