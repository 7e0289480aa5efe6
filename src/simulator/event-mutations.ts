/** What a mutation may put in a field's place. `path` names the field: `response.output.0.id`. */
export type FieldChange = 'null' | 'remove' | 'wrong_type' | 'empty' | 'negative' | 'huge' | 'cut';

/** Field changes in the order of the documentation. */
export const FIELD_CHANGES: readonly FieldChange[] = [
  'null',
  'remove',
  'wrong_type',
  'empty',
  'negative',
  'huge',
  'cut',
];

/** What becomes of an event. */
export type EventChange =
  | { kind: 'drop' }
  /** Sent twice, the same both times. */
  | { kind: 'double' }
  /** Sent after the next `events`, or `ms` later than it would have been. What comes meanwhile overtakes it. */
  | { kind: 'delay'; events: number }
  | { kind: 'delay'; ms: number }
  | { kind: FieldChange; path: string };

/** Changes one server event of a connection. */
export interface EventMutation {
  /** The type of events that `nth` counts. Left out: all of them. */
  event?: string;
  /** Which of them, from 1. Default 1. */
  nth?: number;
  change: EventChange;
}

type WireEvent = Record<string, unknown>;

/** A high surrogate without its second half: a text that was cut in the middle of a character. */
const HALF_A_CHARACTER = '\ud83d';

/** Stands for a field that is taken out. */
const ABSENT = Symbol('absent');

/** A value of a type that nobody expects where `value` was. */
function wrongTypeFor(value: unknown): unknown {
  if (typeof value === 'string') return [' '];
  if (value === null) return [];
  if (Array.isArray(value) || typeof value !== 'object') return 'x';
  return [];
}

function changed(value: unknown, change: FieldChange): unknown {
  switch (change) {
    case 'null':
      return null;
    case 'remove':
      return ABSENT;
    case 'wrong_type':
      return wrongTypeFor(value);
    case 'empty':
      return '';
    case 'negative':
      return -1;
    case 'huge':
      return 1e300;
    case 'cut': {
      const text = String(value);
      return text.slice(0, Math.ceil(text.length / 2)) + HALF_A_CHARACTER;
    }
  }
}

/** A copy of `event` with one field changed; `event` itself when it has no such field. */
export function withChange(event: WireEvent, path: string, change: FieldChange): WireEvent {
  const copy = structuredClone(event);
  const names = path.split('.');
  const last = names.pop()!;
  let parent: unknown = copy;
  for (const name of names) {
    if (typeof parent !== 'object' || parent === null || !Object.hasOwn(parent, name)) return event;
    parent = (parent as WireEvent)[name];
  }
  if (typeof parent !== 'object' || parent === null || !Object.hasOwn(parent, last)) return event;
  const holder = parent as WireEvent;
  const value = changed(holder[last], change);
  if (value !== ABSENT) holder[last] = value;
  else if (Array.isArray(holder)) holder.splice(Number(last), 1);
  else delete holder[last];
  return copy;
}

/** Where a mutator's events go, and what it tells. */
export interface MutatorListener {
  put(event: WireEvent): void;
  /** A mutation has found its event. */
  mutated(mutation: EventMutation, event: WireEvent): void;
}

/** Passes a connection's events on and changes those that its mutations name. */
export class EventMutator {
  readonly #listener: MutatorListener;
  #mutations: readonly EventMutation[] = [];
  /** Events of each type so far; all of them under `''`. */
  readonly #counts = new Map<string, number>();
  /** Events that wait for so many others to be sent. */
  #behind: { event: WireEvent; left: number }[] = [];
  readonly #later = new Map<NodeJS.Timeout, WireEvent>();

  constructor(listener: MutatorListener) {
    this.#listener = listener;
  }

  /** Replaces the mutations; counting starts anew. */
  configure(mutations: readonly EventMutation[] = []): void {
    this.#mutations = mutations;
    this.#counts.clear();
  }

  /** Whether events have to come this way at all. */
  get isActive(): boolean {
    return this.#mutations.length > 0 || this.#behind.length > 0;
  }

  pass(event: WireEvent): void {
    const type = String(event.type);
    const ofType = this.#count(type);
    const ofAll = this.#count('');
    const mutation = this.#mutations.find(
      (candidate) =>
        (candidate.nth ?? 1) === (candidate.event === undefined ? ofAll : ofType) && (candidate.event ?? type) === type,
    );
    if (!mutation) {
      this.#put(event);
      return;
    }
    this.#listener.mutated(mutation, event);
    this.#apply(mutation.change, event);
  }

  #count(name: string): number {
    const count = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, count);
    return count;
  }

  #apply(change: EventChange, event: WireEvent): void {
    switch (change.kind) {
      case 'drop':
        return;
      case 'double':
        this.#put(event);
        this.#put(event);
        return;
      case 'delay':
        if ('events' in change) this.#behind.push({ event, left: change.events });
        else this.#delay(event, change.ms);
        return;
      default:
        this.#put(withChange(event, change.path, change.kind));
    }
  }

  #delay(event: WireEvent, ms: number): void {
    const timer = setTimeout(() => {
      this.#later.delete(timer);
      this.#listener.put(event);
    }, ms);
    this.#later.set(timer, event);
  }

  #put(event: WireEvent): void {
    this.#listener.put(event);
    if (this.#behind.length === 0) return;
    for (const waiting of this.#behind) waiting.left -= 1;
    const due = this.#behind.filter(({ left }) => left <= 0);
    this.#behind = this.#behind.filter(({ left }) => left > 0);
    for (const { event: late } of due) this.#listener.put(late);
  }

  /** Sends at once what is still held back. */
  flush(): void {
    const held = [...this.#behind.map(({ event }) => event), ...this.#later.values()];
    this.close();
    for (const event of held) this.#listener.put(event);
  }

  /** Forgets what is still held back. */
  close(): void {
    for (const timer of this.#later.keys()) clearTimeout(timer);
    this.#later.clear();
    this.#behind = [];
  }
}
