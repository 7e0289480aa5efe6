import { monotonicNowMs } from '../../clock.ts';
import type { InterruptVerdict, OpenItem } from '../../upstream/host.ts';
import type { CallStreams } from '../duplex/streams.ts';
import type { CallObserver } from '../record/observer.ts';
import type { CallTools } from '../tools.ts';
import type { Deliveries } from './deliveries.ts';
import type { ReplyPath } from './reply-path.ts';

export interface InterruptionsOptions {
  readonly replyPath: Pick<ReplyPath, 'replies' | 'interrupt' | 'generation'>;
  readonly tools: Pick<CallTools, 'interrupted' | 'isUnderWay' | 'settleAction'>;
  /** Streams play the replies, and know better than the playhead what has been heard by now. */
  readonly streams: Pick<CallStreams, 'settle' | 'flush'>;
  readonly deliveries: Pick<Deliveries, 'interrupted'>;
  readonly observer: Pick<CallObserver, 'interrupted'>;
}

/**
 * Decides what an interruption stops on the way to the client, and stops it. A session worker names the items it knows;
 * what plays beside them, like the reply of a worker that died, stops with them.
 */
export class Interruptions {
  readonly #options: InterruptionsOptions;

  constructor(options: InterruptionsOptions) {
    this.#options = options;
  }

  /** Whether the caller is being played something that may be interrupted. */
  isPlaying(items: readonly OpenItem[]): boolean {
    const { replyPath, streams } = this.#options;
    const { replies } = replyPath;
    const nowMs = monotonicNowMs();
    streams.settle(nowMs);
    const isProtected = new Set(items.filter((item) => item.isProtected).map(({ itemId }) => itemId));
    return (
      items.some((item) => !item.isProtected && replies.isUnheard(item.itemId, item.receivedMs, nowMs)) ||
      replies.unheard(nowMs).some(({ itemId }) => !isProtected.has(itemId))
    );
  }

  /** Stops playback of everything unheard, unless some of it is protected. */
  interrupt(items: readonly OpenItem[], startedAtMs: number): InterruptVerdict {
    const { replyPath, tools, streams, deliveries, observer } = this.#options;
    const { replies } = replyPath;
    const nowMs = monotonicNowMs();
    streams.settle(nowMs);
    // Those that an interruption stopped before this one was asked for are stopped, not heard.
    const isStopped = (itemId: string) => replies.find(itemId)?.isCut ?? false;
    const unheard = items.filter(
      ({ itemId, receivedMs }) => isStopped(itemId) || replies.isUnheard(itemId, receivedMs, nowMs),
    );
    const heard = items.filter((item) => !unheard.includes(item)).map(({ itemId }) => itemId);
    if (unheard.some((item) => item.isProtected)) return { cuts: [], heard, isProtected: true };
    const named = new Set(items.map(({ itemId }) => itemId));
    const others = replies.unheard(nowMs).filter(({ itemId }) => !named.has(itemId));
    const cuts = [...unheard, ...others].map(({ itemId }) => ({ itemId, heardMs: replies.heardMs(itemId, nowMs) }));
    if (cuts.every(({ itemId }) => isStopped(itemId))) return { cuts, heard, isProtected: false };
    for (const { itemId, heardMs } of cuts) replies.cut(itemId, heardMs);
    streams.flush();
    tools.interrupted();
    const withdrawn = replyPath.interrupt(nowMs, ({ id }) => !tools.isUnderWay(id));
    for (const { id } of withdrawn) tools.settleAction(id, false);
    deliveries.interrupted();
    observer.interrupted(
      replyPath.generation,
      startedAtMs,
      cuts.map(({ heardMs }) => heardMs),
    );
    return { cuts, heard, isProtected: false };
  }
}
