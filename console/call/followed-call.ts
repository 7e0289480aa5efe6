import { batch, signal } from '@preact/signals';
import { EventStream } from '../api/event-stream.ts';
import type { CallTurn, LiveCall, ToldCall, ToldEnd, ToldEntry, ToldLine } from '../api/types.ts';
import { type Line, lineOf } from './lines.ts';

export interface CallName {
  /** Its callId, or its sessionId. */
  readonly callId: string;
  readonly tenantId: string | undefined;
}

/** One call that goes on, followed until it is over. */
export class FollowedCall {
  /** As it stood when it was first told; what came after is in the signals below. */
  readonly told = signal<ToldCall | undefined>(undefined);
  readonly state = signal<LiveCall | undefined>(undefined);
  readonly entries = signal<readonly ToldEntry[]>([]);
  readonly lines = signal<readonly Line[]>([]);
  readonly turns = signal<readonly CallTurn[]>([]);
  readonly end = signal<ToldEnd | undefined>(undefined);
  readonly #told = new Map<number, ToldLine>();
  readonly #stream: EventStream;

  /** @param wanted what of it is wanted */
  constructor({ callId, tenantId }: CallName, wanted: Readonly<Record<string, string>> = {}) {
    const query = new URLSearchParams({ follow: '1', ...wanted, ...(tenantId === undefined ? {} : { tenantId }) });
    this.#stream = new EventStream(
      `/api/voice/session/${encodeURIComponent(callId)}/events?${query}`,
      {
        call: (told: ToldCall) => this.#begin(told),
        state: (state: LiveCall) => {
          this.state.value = state;
        },
        event: (entry: ToldEntry) => {
          this.entries.value = replaced(this.entries.value, entry, ({ n }) => n);
        },
        line: (line: ToldLine) => this.#line(line),
        turn: (turn: CallTurn) => {
          this.turns.value = replaced(this.turns.value, turn, (one) => one.turn);
        },
        end: (end: ToldEnd) => {
          this.end.value = end;
          this.close();
        },
      },
      () => this.end.value === undefined,
    );
  }

  get connection() {
    return this.#stream.state;
  }

  get isOver(): boolean {
    return this.end.value !== undefined;
  }

  close(): void {
    this.#stream.close();
  }

  #begin(told: ToldCall): void {
    batch(() => {
      this.told.value = told;
      this.state.value = told.state;
      this.entries.value = told.events as ToldEntry[];
      this.turns.value = told.turns;
      this.#told.clear();
      for (const line of told.lines ?? []) this.#told.set(line.id, line);
      this.#show();
    });
  }

  #line(line: ToldLine): void {
    if (line.isRemoved) this.#told.delete(line.id);
    else this.#told.set(line.id, line);
    this.#show();
  }

  #show(): void {
    this.lines.value = [...this.#told.values()].sort((a, b) => a.atMs - b.atMs || a.id - b.id).map(lineOf);
  }
}

/** A list with an item in the place of the one of the same number, or at its end. */
function replaced<T>(all: readonly T[], item: T, numberOf: (item: T) => number): readonly T[] {
  const at = all.findLastIndex((known) => numberOf(known) === numberOf(item));
  return at < 0 ? [...all, item] : all.with(at, item);
}
