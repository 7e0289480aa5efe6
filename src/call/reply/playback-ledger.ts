/** What is known of one reply item's audio. All in milliseconds of the item. */
export interface ItemPlayback {
  /** Received from the upstream and made ready for the client. */
  readonly receivedMs: number;
  /** Handed to the client. */
  readonly deliveredMs: number;
  /** Heard by the caller. */
  readonly heardMs: number;
}

interface Item {
  receivedMs: number;
  deliveredMs: number;
  /** Heard in generations that are over, or settled because it was played past. */
  settledHeardMs: number;
  complete: boolean;
  /** It was interrupted: what had not been heard then never will be. */
  isOver: boolean;
}

/** A stretch of the current generation's playback that belongs to one item. */
interface Segment {
  readonly itemId: string;
  readonly startMs: number;
  playMs: number;
  audioMs: number;
}

/**
 * Knows for every reply item how much of it the caller has heard, which nobody else can: the upstream generates faster
 * than speech plays, and playback happens on the switch.
 *
 * The playhead runs in real time through what was delivered in the current generation, from the moment of delivery or
 * from when it gets there, and never past what was delivered. A client's report (`playedMs`) sets it right.
 */
export class PlaybackLedger {
  #items = new Map<string, Item>();
  #segments: Segment[] = [];
  /** Milliseconds of playback delivered in this generation. */
  #deliveredMs = 0;
  /** When the playhead will have reached everything delivered, on the caller's `nowMs` clock. */
  #playsUntilMs = 0;

  /** `audioMs` more of an item is ready for the client. */
  received(itemId: string, audioMs: number): void {
    this.#item(itemId).receivedMs += audioMs;
  }

  /** No more audio of this item will come. */
  completed(itemId: string): void {
    this.#item(itemId).complete = true;
  }

  /**
   * A frame arrived at the client.
   * @param playMs how long it plays
   * @param audioMs how much of that is the item's audio: less in a padded last frame
   */
  delivered(itemId: string, playMs: number, audioMs: number, nowMs: number): void {
    this.#item(itemId).deliveredMs += audioMs;
    const last = this.#segments.at(-1);
    if (last?.itemId === itemId) {
      last.playMs += playMs;
      last.audioMs += audioMs;
    } else {
      this.#forgetPlayed(nowMs);
      this.#segments.push({ itemId, startMs: this.#deliveredMs, playMs, audioMs });
    }
    this.#deliveredMs += playMs;
    this.#playsUntilMs = Math.max(this.#playsUntilMs, nowMs) + playMs;
  }

  /**
   * A stream has played `audioMs` more of an item; less than 0: it turns out that it has not.
   * What is heard this way is known, so the playhead of what was handed over is left alone.
   */
  played(itemId: string, audioMs: number): void {
    const item = this.#item(itemId);
    item.deliveredMs += audioMs;
    item.settledHeardMs += audioMs;
  }

  /** The client says how much of this generation's audio has been heard; it is clamped to what was delivered. */
  report(playedMs: number, nowMs: number): void {
    const played = Math.min(playedMs, this.#deliveredMs);
    this.#playsUntilMs = nowMs + (this.#deliveredMs - played);
  }

  /** Milliseconds of this generation that the caller has heard. */
  playheadMs(nowMs: number): number {
    return this.#deliveredMs - Math.max(0, this.#playsUntilMs - nowMs);
  }

  /** When all that was delivered will have been heard. */
  get playsUntilMs(): number {
    return this.#playsUntilMs;
  }

  /** How long what was delivered will still play. */
  remainingMs(nowMs: number): number {
    return Math.max(0, this.#playsUntilMs - nowMs);
  }

  playback(itemId: string, nowMs: number): ItemPlayback {
    const item = this.#items.get(itemId);
    if (!item) return { receivedMs: 0, deliveredMs: 0, heardMs: 0 };
    const playheadMs = this.playheadMs(nowMs);
    let heardMs = item.settledHeardMs;
    for (const segment of this.#segments) {
      if (segment.itemId === itemId) heardMs += heardOf(segment, playheadMs);
    }
    return { receivedMs: item.receivedMs, deliveredMs: item.deliveredMs, heardMs };
  }

  /** Items of which the caller has yet to hear something. */
  unheard(nowMs: number): string[] {
    const unheard: string[] = [];
    for (const [itemId, item] of this.#items) {
      // A millisecond is the resolution of the upstream's own cut.
      if (!item.isOver && this.playback(itemId, nowMs).heardMs < item.receivedMs - 1) unheard.push(itemId);
    }
    return unheard;
  }

  /** Whether all of the item's audio has come and been handed to the client. */
  isDelivered(itemId: string): boolean {
    const item = this.#items.get(itemId);
    if (!item?.complete) return false;
    // Frames are cut on sample counts, so sums of milliseconds may differ in the last bits.
    return item.deliveredMs >= item.receivedMs - 0.5;
  }

  /** Ends the generation: playback stops where it is, and a new timeline begins. */
  interrupt(nowMs: number): void {
    const playheadMs = this.playheadMs(nowMs);
    for (const itemId of this.unheard(nowMs)) this.#item(itemId).isOver = true;
    for (const segment of this.#segments) {
      this.#item(segment.itemId).settledHeardMs += heardOf(segment, playheadMs);
    }
    this.#segments = [];
    this.#deliveredMs = 0;
    this.#playsUntilMs = nowMs;
  }

  #forgetPlayed(nowMs: number): void {
    const playheadMs = this.playheadMs(nowMs);
    while (this.#segments.length > 1) {
      const [first] = this.#segments as [Segment];
      if (first.startMs + first.playMs > playheadMs) return;
      this.#item(first.itemId).settledHeardMs += first.audioMs;
      this.#segments.shift();
    }
  }

  #item(itemId: string): Item {
    let item = this.#items.get(itemId);
    if (!item) {
      item = { receivedMs: 0, deliveredMs: 0, settledHeardMs: 0, complete: false, isOver: false };
      this.#items.set(itemId, item);
    }
    return item;
  }
}

function heardOf(segment: Segment, playheadMs: number): number {
  return Math.max(0, Math.min(segment.audioMs, playheadMs - segment.startMs));
}
