import { batch, computed, signal } from '@preact/signals';
import { turnsOf } from '../../src/call/record/turns.ts';
import { EventStream } from '../api/event-stream.ts';
import type { CallTurn, Timeline, TimelineEntry } from '../api/types.ts';
import type { Line } from './lines.ts';

export interface CallName {
  readonly callId: string;
  readonly tenantId: string | undefined;
}

/** A line as the gateway tells it; told again when more of it is certain. */
interface ToldLine {
  readonly id: string;
  readonly role: 'user' | 'agent';
  readonly text: string;
  readonly heard?: string;
  readonly isFinal: boolean;
}

/** One call that goes on, followed until it is over. */
export class FollowedCall {
  /** As it stood when it was first told; what came after is in the signals below. */
  readonly timeline = signal<Timeline | undefined>(undefined);
  readonly entries = signal<readonly TimelineEntry[]>([]);
  readonly lines = signal<readonly Line[]>([]);
  readonly isOver = signal(false);
  readonly endReason = signal<string | undefined>(undefined);
  readonly turns = computed<readonly CallTurn[]>(
    () => turnsOf(this.entries.value.toSorted((a, b) => a.atMs - b.atMs)) as CallTurn[],
  );
  readonly #stream: EventStream;

  constructor({ callId, tenantId }: CallName) {
    const query = new URLSearchParams({ follow: '1', ...(tenantId === undefined ? {} : { tenantId }) });
    this.#stream = new EventStream(
      `/api/voice/session/${encodeURIComponent(callId)}/events?${query}`,
      {
        call: (told: Timeline & { lines?: readonly ToldLine[] }) => this.#begin(told),
        event: (entry: TimelineEntry) => {
          this.entries.value = [...this.entries.value, entry];
        },
        line: (line: ToldLine) => this.#line(line),
        end: ({ endReason }: { endReason?: string }) => {
          this.isOver.value = true;
          this.endReason.value = endReason;
          this.close();
        },
      },
      () => !this.isOver.value,
    );
  }

  get connection() {
    return this.#stream.state;
  }

  close(): void {
    this.#stream.close();
  }

  #begin({ lines = [], ...timeline }: Timeline & { lines?: readonly ToldLine[] }): void {
    batch(() => {
      this.timeline.value = timeline as Timeline;
      this.entries.value = timeline.events;
      this.lines.value = [];
      for (const line of lines) this.#line(line);
    });
  }

  #line({ id, role, text, heard, isFinal }: ToldLine): void {
    const shown = heard ?? text;
    const line: Line = {
      id,
      speaker: role,
      text: shown,
      cut: heard === undefined ? '' : text.slice(heard.length).trim(),
      isOpen: !isFinal,
    };
    const { value } = this.lines;
    const at = value.findIndex((known) => known.id === id);
    this.lines.value = at < 0 ? [...value, line] : value.with(at, line);
  }
}
