import type { Logger } from 'pino';
import { monotonicNowMs } from '../../clock.ts';
import type { CallCosts } from '../../costs/call-costs.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import { CallFigures, type FiguresSnapshot } from './figures.ts';
import { CallTimeline } from './timeline.ts';

export interface NotesListener {
  /** Something new is on the timeline. */
  onNoted(type: string): void;
}

/** Where what happens on one call is noted: the metrics of all calls, and the call's timeline, figures and log. */
export class CallNotes {
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly costs: CallCosts;
  readonly timeline = new CallTimeline(monotonicNowMs);
  readonly figures = new CallFigures();

  readonly #listener: NotesListener;

  /** @param log has the call's `callId` and `tenantId` on every line */
  constructor(metrics: Metrics, log: Logger, costs: CallCosts, listener: NotesListener) {
    this.metrics = metrics;
    this.log = log;
    this.costs = costs;
    this.#listener = listener;
  }

  /** The call in numbers, so far. */
  get snapshot(): FiguresSnapshot {
    return this.figures.snapshot(this.costs.figures);
  }

  /** Puts something on the timeline and, at `debug`, into the log. */
  note(type: string, details: Readonly<Record<string, unknown>> = {}, atMs?: number): void {
    this.timeline.add(type, details, atMs);
    this.log.debug(details, type);
    this.#listener.onNoted(type);
  }

  reconnected(reason: 'lost' | 'rotated' | 'worker_lost'): void {
    this.metrics.upstreamReconnects.inc({ reason });
    this.figures.reconnects += 1;
  }
}

/** Tenths of a millisecond are as fine as anybody reads. */
export function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
