import { type AudioFormat, isSameFormat } from '../../audio/codec.ts';
import { type Clock, monotonicNowMs } from '../../clock.ts';

/** What FreeSWITCH is asked to do, once for each `id`, after playing everything before it. */
export interface CallAction {
  readonly id: string;
  readonly type: 'transfer' | 'hangup';
  /** Where to transfer to; absent for `hangup`. */
  readonly extension?: string;
  readonly reason?: string;
}

/** One thing on its way to the client. `seq` rises by 1 an entry; `generation` by 1 an interruption. */
export type OutboxEntry = { readonly seq: number; readonly generation: number } & (
  | {
      readonly kind: 'audio';
      readonly itemId: string;
      /** Milliseconds it plays for, including padding. */
      readonly frameMs: number;
      /** Milliseconds of the reply item in it: less than `frameMs` in an item's padded last frame. */
      readonly audioMs: number;
      /** When it was queued, on the owner's clock. */
      readonly queuedAtMs: number;
      /** The frame, a multiple of 3 bytes, so that the text joins with its neighbours'. */
      readonly base64: string;
      /** What it is in. */
      readonly format: AudioFormat;
    }
  | { readonly kind: 'transcript'; readonly line: string }
  | { readonly kind: 'action'; readonly action: CallAction }
);

export type AudioEntry = Extract<OutboxEntry, { kind: 'audio' }>;

/** Options of one read. */
export interface TakeOptions {
  /** Everything up to this `seq` arrived (−1: nothing yet). Absent: everything written before arrived. */
  readonly ack?: number | undefined;
  /** Most milliseconds of audio in the answer, 3 s unless it says otherwise; at least one frame is always taken. */
  readonly maxMs?: number | undefined;
}

/**
 * The entries of one answer. Exactly one of `written` and `aborted` is to be called, when the answer has been handed
 * to the network whole, or could not be.
 */
export interface OutboxBatch {
  readonly entries: readonly OutboxEntry[];
  written(): void;
  aborted(): void;
}

/** Whoever waits for something to read. */
export interface OutboxReader {
  /** There may be something new. */
  wake(): void;
}

export interface OutboxListener {
  /** An entry is known to have arrived: told once of each, in order of `seq`. */
  onDelivered(entry: OutboxEntry): void;
}

/** Audio of one answer to a client that names no measure. */
const DEFAULT_MAX_MS = 3_000;
/**
 * How long a written answer is given to be acknowledged: as long as its audio lasts, within these. A client that lost the
 * answer has it again after that, before it has run dry for long.
 */
const MIN_RESEND_MS = 100;
const MAX_RESEND_MS = 1_000;

interface Slot {
  entry: OutboxEntry;
  /** A client that acknowledges is not sent it again before this time, since its acknowledgement is under way. */
  resendAtMs?: number;
  /** `converting`: it is there, but nobody can have it yet, nor what is behind it. */
  state: 'queued' | 'in_flight' | 'written' | 'converting';
}

/**
 * A call's entries between the pipeline and whoever reads them, polls today. Keeps an entry until it is known to have
 * arrived: acknowledged by clients that acknowledge, fully written for those that do not. Bounding it is its owner's
 * part (`queuedAudioMs`).
 */
export class Outbox {
  #slots: Slot[] = [];
  /** Answers under way to a client that does not acknowledge. */
  readonly #unwritten = new Set<readonly Slot[]>();
  #nextSeq = 0;
  /** The highest `seq` that was in any answer. */
  #sentSeq = -1;
  #generation = 0;
  #queuedAudioMs = 0;
  #closed = false;
  readonly #reader: OutboxReader;
  readonly #listener: OutboxListener;
  readonly #nowMs: Clock;

  constructor(reader: OutboxReader, listener: OutboxListener, nowMs: Clock = monotonicNowMs) {
    this.#reader = reader;
    this.#listener = listener;
    this.#nowMs = nowMs;
  }

  get generation(): number {
    return this.#generation;
  }

  /** The number of the next entry. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** Transcript lines that are not known to have arrived. */
  get undeliveredLines(): string[] {
    return this.#slots.flatMap(({ entry }) => (entry.kind === 'transcript' ? [entry.line] : []));
  }

  /** Takes up the numbers of an outbox of another process: everything below `nextSeq` may have been sent. */
  goOnFrom(nextSeq: number, generation: number): void {
    this.#nextSeq = nextSeq;
    this.#sentSeq = nextSeq - 1;
    this.#generation = generation;
  }

  /**
   * What an answer without entries says is its `seq`: the client's own `ack`, as far as there is anything to
   * acknowledge, or the newest entry sent to a client that acknowledges nothing; −1 before the first. Never the `seq` of
   * an answer that an acknowledging client may not have.
   */
  restingSeq(ack: number | undefined): number {
    return ack === undefined ? this.#sentSeq : Math.min(ack, this.#sentSeq);
  }

  /** Milliseconds of audio not yet known to have arrived. */
  get queuedAudioMs(): number {
    return this.#queuedAudioMs;
  }

  get isEmpty(): boolean {
    return this.#slots.length === 0;
  }

  /** Whether a read with this `ack` would find an entry. */
  hasEntries(ack: number | undefined): boolean {
    return this.#first(ack) !== undefined;
  }

  /**
   * Milliseconds until what was written, and is not acknowledged, may be sent again; undefined: nothing waits for that.
   */
  resendInMs(ack: number): number | undefined {
    const slot = this.#slots.find(({ entry }) => entry.seq > Math.min(ack, this.#sentSeq));
    return slot?.state === 'written' ? Math.max(0, slot.resendAtMs! - this.#nowMs()) : undefined;
  }

  /**
   * The client has everything up to `ack`. Undefined: it does not acknowledge, so it has what was written before it asked
   * again.
   */
  acknowledge(ack: number | undefined): void {
    if (ack === undefined) this.#settle((slot) => slot.state === 'written');
    else this.#settle(({ entry }) => entry.seq <= ack && entry.seq <= this.#sentSeq);
  }

  pushAudio(
    itemId: string,
    frames: readonly { base64: string; frameMs: number; audioMs: number }[],
    queuedAtMs: number,
    format: AudioFormat,
  ): void {
    for (const frame of frames) this.#push({ ...this.#head(), kind: 'audio', itemId, format, queuedAtMs, ...frame });
    this.#reader.wake();
  }

  pushTranscript(line: string): void {
    this.#push({ ...this.#head(), kind: 'transcript', line });
    this.#reader.wake();
  }

  pushAction(action: CallAction): void {
    this.#push({ ...this.#head(), kind: 'action', action });
    this.#reader.wake();
  }

  /**
   * Starts a new generation: audio not known to have arrived is discarded, transcript lines stay.
   * @param keepAction whether an action that has not been delivered stays; `false` removes it
   * @returns the actions removed
   */
  interrupt(keepAction: (action: CallAction) => boolean = () => true): CallAction[] {
    this.#generation += 1;
    const removed: CallAction[] = [];
    this.#slots = this.#slots.filter(({ entry, state }) => {
      if (entry.kind === 'audio') return false;
      if (entry.kind !== 'action' || state !== 'queued' || keepAction(entry.action)) return true;
      removed.push(entry.action);
      return false;
    });
    this.#queuedAudioMs = 0;
    this.#reader.wake();
    return removed;
  }

  /** Forgets everything that is left, and whatever still comes. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#slots = [];
    this.#queuedAudioMs = 0;
    this.#reader.wake();
  }

  // For a stream, which plays what it takes and knows when it was heard

  /** Whether audio that nobody has taken stands before anything the client has to be told otherwise. */
  get hasAudioAhead(): boolean {
    return this.#next()?.entry.kind === 'audio';
  }

  /** Whether what comes next, after all that was taken, is an action. */
  get isAtAction(): boolean {
    return this.#next()?.entry.kind === 'action';
  }

  /** Takes the next audio, unless an action stands before it: until it is heard or given back, nobody else gets it. */
  takeAudio(): AudioEntry | undefined {
    const slot = this.#next();
    if (slot?.state !== 'queued' || slot.entry.kind !== 'audio') return undefined;
    slot.state = 'in_flight';
    return slot.entry;
  }

  /** Audio that was taken has been heard to its end: it is no longer here, and the listener is not told of it. */
  heardAudio(entry: AudioEntry): void {
    const index = this.#slots.findIndex((slot) => slot.entry === entry);
    if (index === -1) return;
    this.#slots.splice(index, 1);
    this.#queuedAudioMs -= entry.frameMs;
  }

  /** Audio that was taken was not heard: it waits again. */
  giveBackAudio(entries: readonly AudioEntry[]): void {
    for (const slot of this.#slots) if (entries.includes(slot.entry as AudioEntry)) slot.state = 'queued';
    if (entries.length > 0) this.#reader.wake();
  }

  /**
   * Has what is queued in another format converted, an item at a time, and kept from readers until it is.
   * @param convert frames of one item as base64, in order; resolves with as many
   */
  convertTo(format: AudioFormat, convert: (base64: string[], from: AudioFormat) => Promise<readonly string[]>): void {
    const runs: Slot[][] = [];
    for (const slot of this.#slots) {
      const { entry, state } = slot;
      if (state !== 'queued' || entry.kind !== 'audio' || isSameFormat(entry.format, format)) continue;
      slot.state = 'converting';
      const run = runs.at(-1);
      const last = run?.at(-1)?.entry as AudioEntry | undefined;
      if (run && last?.itemId === entry.itemId && isSameFormat(last.format, entry.format)) run.push(slot);
      else runs.push([slot]);
    }
    for (const run of runs) {
      const entries = run.map(({ entry }) => entry as AudioEntry);
      const settle = (frames: readonly string[] | undefined) => {
        run.forEach((slot, index) => {
          const base64 = frames?.[index];
          if (base64 !== undefined) slot.entry = { ...entries[index]!, base64, format };
          slot.state = 'queued';
        });
        this.#reader.wake();
      };
      convert(
        entries.map(({ base64 }) => base64),
        entries[0]!.format,
      ).then(settle, () => settle(undefined));
    }
  }

  /** What comes next but transcript lines, which no stream carries. */
  #next(): Slot | undefined {
    return this.#slots.find(
      ({ entry, state }) => entry.kind !== 'transcript' && (state === 'queued' || state === 'converting'),
    );
  }

  /** Acknowledges, then takes what one answer may carry: up to `maxMs` of audio, and nothing behind an action. */
  take({ ack, maxMs = DEFAULT_MAX_MS }: TakeOptions): OutboxBatch {
    this.acknowledge(ack);
    const taken: Slot[] = [];
    let audioMs = 0;
    const first = this.#first(ack);
    for (const slot of first ? this.#slots.slice(this.#slots.indexOf(first)) : []) {
      const { entry } = slot;
      if (slot.state === 'converting' || slot.state === 'in_flight') break;
      if (entry.kind === 'audio') {
        if (audioMs > 0 && audioMs + entry.frameMs > maxMs) break;
        audioMs += entry.frameMs;
      }
      slot.state = 'in_flight';
      taken.push(slot);
      if (entry.kind === 'action') break;
    }
    const last = taken.at(-1);
    if (last) this.#sentSeq = Math.max(this.#sentSeq, last.entry.seq);
    // Also after an interruption, which takes its entries away: nothing new may overtake what is on its way.
    if (ack === undefined && taken.length > 0) this.#unwritten.add(taken);
    return {
      entries: taken.map((slot) => slot.entry),
      written: () => this.#markWritten(taken, ack !== undefined, audioMs),
      aborted: () => this.#giveBack(taken),
    };
  }

  /**
   * The entry with which a read begins. What an answer under way carries may yet come back, so nothing overtakes it; what
   * was written to a client that acknowledges is given time to be acknowledged, or its next requests, which it sent before
   * it had the answer, would all carry it again.
   */
  #first(ack: number | undefined): Slot | undefined {
    if (ack === undefined && this.#unwritten.size > 0) return undefined;
    // Nobody has what was never sent, whatever is acknowledged.
    const slot =
      ack === undefined
        ? this.#slots.find(({ state }) => state !== 'written')
        : this.#slots.find(({ entry }) => entry.seq > Math.min(ack, this.#sentSeq));
    switch (slot?.state) {
      case 'queued':
        return slot;
      case 'written':
        return slot.resendAtMs! <= this.#nowMs() ? slot : undefined;
      default:
        return undefined;
    }
  }

  #markWritten(taken: Slot[], acknowledges: boolean, audioMs: number): void {
    this.#unwritten.delete(taken);
    const resendAtMs = this.#nowMs() + Math.min(Math.max(audioMs, MIN_RESEND_MS), MAX_RESEND_MS);
    for (const slot of taken) if (slot.state === 'in_flight') Object.assign(slot, { state: 'written', resendAtMs });
    // A client that acknowledges has them when it says so.
    if (!acknowledges) this.acknowledge(undefined);
    // What was held back behind them may go, or go again after a while.
    if (taken.length > 0 && this.#slots.length > 0) this.#reader.wake();
  }

  #giveBack(taken: Slot[]): void {
    this.#unwritten.delete(taken);
    for (const slot of taken) if (slot.state === 'in_flight') slot.state = 'queued';
    if (taken.length > 0) this.#reader.wake();
  }

  /** Removes the entries that arrived and reports them. */
  #settle(arrived: (slot: Slot) => boolean): void {
    if (!this.#slots.some(arrived)) return;
    const delivered: OutboxEntry[] = [];
    this.#slots = this.#slots.filter((slot) => {
      if (!arrived(slot)) return true;
      delivered.push(slot.entry);
      if (slot.entry.kind === 'audio') this.#queuedAudioMs -= slot.entry.frameMs;
      return false;
    });
    // After the queue is consistent: a listener may push.
    for (const entry of delivered) this.#listener.onDelivered(entry);
  }

  #head(): { seq: number; generation: number } {
    return { seq: this.#nextSeq++, generation: this.#generation };
  }

  #push(entry: OutboxEntry): void {
    if (this.#closed) return;
    this.#slots.push({ entry, state: 'queued' });
    if (entry.kind === 'audio') this.#queuedAudioMs += entry.frameMs;
  }
}
