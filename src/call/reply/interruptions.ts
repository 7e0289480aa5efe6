import { monotonicNowMs } from '../../clock.ts';
import type { InterruptVerdict, OpenItem } from '../../upstream/host.ts';
import type { CallRecorder } from '../record/recorder.ts';
import type { CallTools } from '../tools.ts';
import type { Downlink } from './downlink.ts';
import type { Outbox } from './outbox.ts';
import type { PlaybackLedger } from './playback-ledger.ts';
import type { Replies } from './replies.ts';

export interface InterruptionsOptions {
  readonly ledger: PlaybackLedger;
  readonly outbox: Outbox;
  readonly downlink: Downlink;
  readonly replies: Replies;
  /** Absent: the call is not recorded. */
  readonly recorder?: CallRecorder | undefined;
  readonly tools: CallTools;
  /** A stream that plays the replies, and knows better than the ledger what has been heard by now. */
  readonly player: { settle(nowMs: number): void; flush(): void };
  /** The generation has risen. `heardMs`: of each item that was cut. */
  readonly onInterrupted: (startedAtMs: number, heardMs: readonly number[]) => void;
}

/**
 * Decides what an interruption stops on the way to the client, and stops it. A session worker names the items it knows;
 * what plays beside them, like the reply of a worker that died, stops with them.
 */
export class Interruptions {
  readonly #options: InterruptionsOptions;
  /** Items that an interruption has stopped: a second one, asked for before the first was answered, stops nothing more. */
  readonly #stopped = new Set<string>();

  constructor(options: InterruptionsOptions) {
    this.#options = options;
  }

  /** Whether the caller is being played something that may be interrupted. */
  isPlaying(items: readonly OpenItem[]): boolean {
    const nowMs = monotonicNowMs();
    this.#options.player.settle(nowMs);
    const isProtected = new Set(items.filter((item) => item.isProtected).map(({ itemId }) => itemId));
    return (
      items.some((item) => !item.isProtected && this.#isUnheard(item, nowMs) && !this.#stopped.has(item.itemId)) ||
      this.#options.ledger.unheard(nowMs).some((itemId) => !isProtected.has(itemId))
    );
  }

  /** Stops playback of everything unheard, unless some of it is protected. */
  interrupt(items: readonly OpenItem[], startedAtMs: number): InterruptVerdict {
    const { ledger, outbox, downlink, replies, recorder, tools, player, onInterrupted } = this.#options;
    const nowMs = monotonicNowMs();
    player.settle(nowMs);
    const unheard = items.filter((item) => this.#isUnheard(item, nowMs));
    const heard = items.filter((item) => !unheard.includes(item)).map(({ itemId }) => itemId);
    if (unheard.some(({ isProtected }) => isProtected)) return { cuts: [], heard, isProtected: true };
    const named = new Set(items.map(({ itemId }) => itemId));
    const others = ledger.unheard(nowMs).filter((itemId) => !named.has(itemId));
    const itemIds = [...unheard.map(({ itemId }) => itemId), ...others];
    if (itemIds.length === 0) return { cuts: [], heard, isProtected: false };
    const cuts = itemIds.map((itemId) => ({ itemId, heardMs: ledger.playback(itemId, nowMs).heardMs }));
    if (itemIds.every((itemId) => this.#stopped.has(itemId))) return { cuts, heard, isProtected: false };
    for (const { itemId, heardMs } of cuts) {
      this.#stopped.add(itemId);
      downlink.cut(itemId);
      replies.cut(itemId, heardMs);
    }
    recorder?.interrupted(nowMs, ledger.playheadMs(nowMs));
    ledger.interrupt(nowMs);
    player.flush();
    tools.interrupted();
    const withdrawn = outbox.interrupt((action) => !tools.isUnderWay(action.id));
    for (const { id } of withdrawn) tools.settleAction(id, false);
    onInterrupted(
      startedAtMs,
      cuts.map(({ heardMs }) => heardMs),
    );
    return { cuts, heard, isProtected: false };
  }

  /** The worker counts what came off the socket, some of which may not be ready for the client yet. */
  #isUnheard({ itemId, receivedMs }: OpenItem, nowMs: number): boolean {
    // A millisecond is the resolution of the upstream's own cut.
    return this.#options.ledger.playback(itemId, nowMs).heardMs < receivedMs - 1;
  }
}
