import type { CallMark, LiveCall } from '../call/live-call.ts';
import type { EventStream } from './event-stream.ts';
import type { Follower } from './followers.ts';
import type { CallSession } from './gateway.ts';
import { masked } from './live-calls.ts';

/** How often the state is looked at that changes without an entry: whether the agent is heard still. */
const STATE_MS = 500;

/** Entries after which more is known of the turn at hand. */
const TURN_NEWS = new Set(['handed_over', 'interrupted', 'response_done']);

export interface FollowOptions {
  /** The client sees what is said; a text: it does not, and that is why; false: its key may not. */
  readonly lines: boolean | string;
  /** The client sees the whole number of the caller. */
  readonly isFull: boolean;
  /** What the client was told last, in its own words. */
  readonly lastEventId: string | undefined;
}

/** Tells one client what happens on one call, until it has ended. */
export class FollowedCallStream implements Follower {
  readonly #call: CallSession;
  readonly #stream: EventStream;
  readonly #options: FollowOptions;
  #told: CallMark | undefined;
  #toldTurns: string[] = [];
  #toldState = '';
  #stateAtMs = 0;

  constructor(call: CallSession, stream: EventStream, options: FollowOptions) {
    this.#call = call;
    this.#stream = stream;
    this.#options = options;
    const { lastEventId } = options;
    this.#told = markOf(call, lastEventId);
    if (!this.#told && lastEventId !== undefined) this.#gap('what was told last is not of this call');
  }

  look(nowMs: number): void {
    const { mark } = this.#call;
    const hasNews = this.#told?.entries !== mark.entries || this.#told.lines !== mark.lines;
    if (!hasNews && nowMs - this.#stateAtMs < STATE_MS) return;
    this.#stateAtMs = nowMs;
    if (!this.#told) this.#tellAll();
    else if (hasNews) this.#tellNews(this.#told);
    this.#tellState();
  }

  #tellAll(): void {
    const { lines: seesLines } = this.#options;
    const { entries, lines, mark } = this.#call.news();
    const state = this.#state;
    this.#told = mark;
    this.#toldState = JSON.stringify({ ...state, queuedAudioMs: 0 });
    const report = this.#call.events();
    this.#toldTurns = report.turns.map((turn) => JSON.stringify(turn));
    const all = {
      ...report,
      events: entries,
      state,
      ...(seesLines === true ? { lines } : {}),
      ...(typeof seesLines === 'string' ? { withheld: seesLines } : {}),
    };
    this.#stream.send('call', JSON.stringify(all), this.#id);
  }

  #tellNews(since: CallMark): void {
    const { entries, lines, hasGap, mark } = this.#call.news(since);
    if (hasGap) {
      this.#gap('more has happened than is kept');
      this.#tellAll();
      return;
    }
    this.#told = mark;
    const id = this.#id;
    for (const entry of entries) this.#stream.send('event', JSON.stringify(entry));
    if (this.#options.lines === true) for (const line of lines) this.#stream.send('line', JSON.stringify(line));
    if (entries.some(({ type }) => TURN_NEWS.has(type))) this.#tellTurns();
    // Told last: whoever was told less of it is told all of it again.
    this.#stream.send('state', this.#stateJson(), id);
  }

  #tellTurns(): void {
    const turns = this.#call.events().turns.map((turn) => JSON.stringify(turn));
    for (const [index, json] of turns.entries()) {
      if (json !== this.#toldTurns[index]) this.#stream.send('turn', json);
    }
    this.#toldTurns = turns;
  }

  #tellState(): void {
    const state = this.#state;
    const json = JSON.stringify({ ...state, queuedAudioMs: 0 });
    if (json !== this.#toldState) {
      this.#toldState = json;
      this.#stream.send('state', JSON.stringify(state));
    }
    if (state.status !== 'ended') return;
    const { error } = this.#call;
    this.#stream.send('end', JSON.stringify({ endReason: state.endReason, error }));
    this.#stream.end();
  }

  #stateJson(): string {
    const state = this.#state;
    this.#toldState = JSON.stringify({ ...state, queuedAudioMs: 0 });
    return JSON.stringify(state);
  }

  get #state(): LiveCall {
    const live = this.#call.live();
    return this.#options.isFull ? live : masked(live);
  }

  get #id(): string {
    const { entries, lines } = this.#told ?? { entries: 0, lines: 0 };
    return `${this.#call.id}.${entries}.${lines}`;
  }

  #gap(why: string): void {
    this.#stream.send('gap', JSON.stringify({ why }));
  }
}

function markOf({ id, mark }: CallSession, text: string | undefined): CallMark | undefined {
  const [name, entries, lines] = text?.split('.') ?? [];
  const told = { entries: Number(entries), lines: Number(lines) };
  const isOurs = name === id && told.entries >= 0 && told.entries <= mark.entries && told.lines >= 0;
  return isOurs && told.lines <= mark.lines ? told : undefined;
}
