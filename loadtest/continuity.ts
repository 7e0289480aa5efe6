import { isSilence, type Reference, wrap } from './reference.ts';

/** Normalised correlation from which a window counts as what was sent. */
const ALIKE = 0.8;
/** From which a search's find is believed. */
const FOUND = 0.9;
/** Windows that are gathered before the loop is searched for them. */
const SEARCH_WINDOWS = 5;
/** A shift this small leaves speech alike; it is found by being the same again, sample for sample. */
const SLIGHT_SHIFT = 48;
/** How many chunks or frames away audio is looked for before it is looked for everywhere. */
const NEARBY = 40;
/** Searches of the whole loop that a process makes in a second, at most: they cost its calls their punctuality. */
const SEARCHES_A_SECOND = 10;

/** What a listener made of what it heard. Everything in samples. */
export interface ContinuityCounts {
  /** Compared and found where it was expected, sample for sample. */
  exact: number;
  /** Found where it was expected by its shape. */
  alike: number;
  /** Sent and not heard. */
  lost: number;
  /** Heard and not sent there: heard twice, or put in. */
  repeated: number;
  /** Heard where it was expected, but it is something else. */
  altered: number;
  /** Times that samples were lost or repeated. */
  breaks: number;
}

/** Shares out the searches of a process among its calls. */
export class SearchBudget {
  #second = 0;
  #left = SEARCHES_A_SECOND;

  /** Whether one more search may be made now. */
  take(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#left = SEARCHES_A_SECOND;
    }
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }
}

export interface ContinuityOptions {
  readonly reference: Reference;
  /** How much is compared at a time; every array pushed is a whole number of windows. */
  readonly windowSamples: number;
  /** Place in the loop of the first window, or undefined: it is looked for. */
  readonly at: number | undefined;
  readonly chunkSamples: number;
  readonly budget: SearchBudget;
  readonly onJump?: OnJump;
}

/** Called when position and expectation part: `samples` above 0 were lost, below 0 too many. */
export type OnJump = (samples: number) => void;

/**
 * Follows audio through a known loop, window by window, and counts what is missing, doubled or different. Where the audio
 * does not fit any more, it looks for the place in the loop where it goes on; what was between is lost or repeated.
 */
export class ContinuityChecker {
  readonly counts: ContinuityCounts = { exact: 0, alike: 0, lost: 0, repeated: 0, altered: 0, breaks: 0 };
  readonly #reference: Reference;
  readonly #window: number;
  readonly #steps: readonly number[];
  readonly #budget: SearchBudget;
  readonly #onJump: OnJump;
  /** Place in the loop of the next window; undefined: not known yet. */
  #at: number | undefined;
  /** The last windows that did not fit, oldest first. */
  #odd: Int16Array[] = [];
  /** Odd windows since the last search. */
  #sinceSearch = SEARCH_WINDOWS;
  /** Samples of those before them, which fit nowhere either. */
  #passed = 0;

  constructor({ reference, windowSamples, at, chunkSamples, budget, onJump = () => {} }: ContinuityOptions) {
    this.#reference = reference;
    this.#window = windowSamples;
    this.#steps = [chunkSamples, windowSamples];
    this.#at = at;
    this.#budget = budget;
    this.#onJump = onJump;
  }

  /** Place in the loop of what is pushed next; undefined: not known yet. */
  get expectedAt(): number | undefined {
    return this.#at === undefined ? undefined : this.#at + this.#odd.length * this.#window;
  }

  /**
   * Audio follows that has nothing to do with what came before: its place is looked for. The last window before may be
   * filled up with silence, and is not held against anybody.
   */
  restart(): void {
    this.#odd.pop();
    this.#settleOdd();
    this.#at = undefined;
  }

  push(samples: Int16Array): void {
    for (let from = 0; from < samples.length; from += this.#window) {
      this.#take(samples.subarray(from, from + this.#window));
    }
  }

  /** What did not fit up to now fits nowhere. */
  finish(): void {
    this.#settleOdd();
  }

  #take(window: Int16Array): void {
    if (this.#at !== undefined) {
      const at = this.expectedAt!;
      const shift = this.#slightShift(window, at);
      const fit = this.#fitAt(window, at + shift);
      if (fit !== undefined) {
        this.#settleOdd();
        this.#sinceSearch = SEARCH_WINDOWS;
        if (shift !== 0) {
          this.#at = wrap(this.#at + shift, this.#reference.length);
          this.#countJump(shift);
        }
        this.counts[fit] += window.length;
        this.#advance(window.length);
        return;
      }
    }
    // A copy: the caller's buffer is its own.
    this.#odd.push(window.slice());
    this.#sinceSearch += 1;
    if (this.#odd.length >= SEARCH_WINDOWS && this.#sinceSearch >= SEARCH_WINDOWS) this.#search();
    if (this.#odd.length > 2 * SEARCH_WINDOWS) this.#dropOldest();
  }

  /** How far the window is from where it is expected, if that is a little and it is the same there; 0 otherwise. */
  #slightShift(window: Int16Array, at: number): number {
    if (this.#reference.equalsAt(window, at)) return 0;
    for (let shift = 1; shift <= SLIGHT_SHIFT; shift++) {
      if (this.#reference.equalsAt(window, at + shift)) return shift;
      if (this.#reference.equalsAt(window, at - shift)) return -shift;
    }
    return 0;
  }

  #fitAt(window: Int16Array, at: number): 'exact' | 'alike' | undefined {
    if (this.#reference.equalsAt(window, at)) return 'exact';
    return this.#reference.correlationAt(window, at) >= ALIKE ? 'alike' : undefined;
  }

  #search(): void {
    // What was not found is looked for again when there is as much of something else: callers whose audio is lost are many
    // at once, and a process that searches all the time loses more.
    this.#sinceSearch = 0;
    // At a break the first odd window may be one half of each side of it.
    const windows = this.#at === undefined ? this.#odd : this.#odd.slice(1 - SEARCH_WINDOWS);
    const before = this.#odd.length - windows.length;
    const expected = this.#at === undefined ? undefined : this.#at + before * this.#window;
    const found = this.#find(join(windows), expected);
    if (found === undefined) return;
    if (expected !== undefined) {
      const jump = shortest(found - expected, this.#reference.length);
      // What was put in is told as that, and not as altered as well.
      this.counts.altered += Math.max(0, this.#passed + Math.min(0, jump));
      if (jump === 0) this.counts.altered += before * this.#window;
      else this.#countJump(jump);
    }
    this.#passed = 0;
    this.#odd = [];
    this.#at = found;
    for (const window of windows) {
      this.counts[this.#fitAt(window, this.#at) ?? 'altered'] += window.length;
      this.#advance(window.length);
    }
  }

  /** Where the audio is, given where it was expected. */
  #find(heard: Int16Array, expected: number | undefined): number | undefined {
    if (isSilence(heard)) return undefined;
    if (expected !== undefined) {
      const distance = this.#reference.nearby(heard, expected, this.#steps, NEARBY, FOUND);
      if (distance !== undefined) return wrap(expected + distance, this.#reference.length);
    }
    if (!this.#budget.take(performance.now())) return undefined;
    const place = this.#reference.locate(heard);
    return place && place.correlation >= FOUND ? place.at : undefined;
  }

  #countJump(jump: number): void {
    this.counts.breaks += 1;
    if (jump > 0) this.counts.lost += jump;
    else this.counts.repeated -= jump;
    this.#onJump(jump);
  }

  /** Where nothing is found for long, time goes on all the same. */
  #dropOldest(): void {
    const window = this.#odd.shift()!;
    this.#passed += window.length;
    this.#advance(window.length);
  }

  /** What did not fit was something else in the place of what was sent. */
  #settleOdd(): void {
    for (const window of this.#odd) {
      this.counts.altered += window.length;
      this.#advance(window.length);
    }
    this.counts.altered += this.#passed;
    this.#passed = 0;
    this.#odd = [];
  }

  #advance(samples: number): void {
    if (this.#at !== undefined) this.#at = wrap(this.#at + samples, this.#reference.length);
  }
}

/** The shorter way around the loop. */
function shortest(distance: number, length: number): number {
  const forward = wrap(distance, length);
  return forward > length / 2 ? forward - length : forward;
}

function join(windows: readonly Int16Array[]): Int16Array {
  const joined = new Int16Array(windows.reduce((sum, window) => sum + window.length, 0));
  let at = 0;
  for (const window of windows) {
    joined.set(window, at);
    at += window.length;
  }
  return joined;
}
