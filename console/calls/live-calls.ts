import { batch, computed, type Signal, signal } from '@preact/signals';
import { EventStream } from '../api/event-stream.ts';
import type { Changes, EndedCall, LiveCall, Snapshot } from '../api/types.ts';
import { tick } from '../parts/ticker.ts';
import { troubleOf } from './trouble.ts';

/** How many calls that have just ended are remembered. */
const MOST_ENDED = 20;

/** Which of the calls are shown. */
export type Filter = 'all' | 'trouble' | 'slow' | 'speaking';

/**
 * The calls that go on, as the gateway tells them. Each has a signal of its own, so that what changes on one call is
 * one text in one row and not a table.
 */
export class LiveCalls {
  readonly #calls = new Map<string, Signal<LiveCall>>();
  readonly ended = signal<readonly EndedCall[]>([]);
  /** Rises with every message. */
  readonly #version = signal(0);
  readonly hasArrived = signal(false);
  readonly #stream: EventStream;

  /** @param query what of them is wanted */
  constructor(query: Readonly<Record<string, string>>) {
    this.#stream = new EventStream(`/api/voice/events?${new URLSearchParams(query)}`, {
      snapshot: (data: Snapshot) => this.#snapshot(data.calls),
      changes: (data: Changes) => this.#changes(data),
    });
  }

  get connection() {
    return this.#stream.state;
  }

  close(): void {
    this.#stream.close();
  }

  /** All calls, worst first, then the longest. */
  readonly sorted = computed<readonly Signal<LiveCall>[]>(() => {
    this.#version.value;
    return [...this.#calls.values()]
      .map((call) => ({ call, weight: troubleOf(call.peek())?.weight ?? 0, since: call.peek().createdAt }))
      .sort((a, b) => b.weight - a.weight || (a.since < b.since ? -1 : 1))
      .map(({ call }) => call);
  });

  #snapshot(calls: readonly LiveCall[]): void {
    batch(() => {
      const present = new Set(calls.map(({ sessionId }) => sessionId));
      for (const sessionId of this.#calls.keys()) if (!present.has(sessionId)) this.#calls.delete(sessionId);
      for (const call of calls) this.#set(call);
      this.hasArrived.value = true;
      this.#version.value += 1;
    });
  }

  #changes({ changed, ended }: Changes): void {
    batch(() => {
      tick();
      for (const call of changed) this.#set(call);
      for (const { sessionId } of ended) this.#calls.delete(sessionId);
      if (ended.length > 0) this.ended.value = [...ended, ...this.ended.value].slice(0, MOST_ENDED);
      this.#version.value += 1;
    });
  }

  #set(call: LiveCall): void {
    const known = this.#calls.get(call.sessionId);
    if (known) known.value = call;
    else this.#calls.set(call.sessionId, signal(call));
  }
}
