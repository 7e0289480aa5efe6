import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { JITTER_BUCKETS_SECONDS, LATENCY_BUCKETS_SECONDS } from './buckets.ts';
import { LEG_OUTCOMES, LEG_PACKET_FATES, LEG_REFUSALS } from './labels.ts';
import { MergedHistogram } from './merged-histogram.ts';

/** What is read of legs when metrics are scraped. */
export interface LegSource {
  /** Calls that are there. */
  readonly active: number;
  /** Packets since the start, by what became of them. */
  packets(): Readonly<Record<(typeof LEG_PACKET_FATES)[number], number>>;
}

/** Metrics of legs: calls that a switch has handed over, and their packets. */
export class LegMetrics {
  readonly #ended: Counter<'outcome'>;
  readonly #refused: Counter<'reason'>;
  readonly #late: MergedHistogram;
  readonly #jitter: Histogram;
  #source: LegSource | undefined;

  constructor(registry: Registry, prefix: string) {
    const registers = [registry];
    this.#ended = new Counter({
      name: `${prefix}legs_total`,
      help: 'Calls that left their leg, by how',
      labelNames: ['outcome'],
      registers,
    });
    for (const outcome of LEG_OUTCOMES) this.#ended.inc({ outcome }, 0);
    this.#refused = new Counter({
      name: `${prefix}leg_connections_refused_total`,
      help: 'Connections to the event socket that were no call, by reason',
      labelNames: ['reason'],
      registers,
    });
    for (const reason of LEG_REFUSALS) this.#refused.inc({ reason }, 0);
    this.#late = new MergedHistogram(
      `${prefix}leg_late_seconds`,
      'How far behind its time each packet went to the switch',
      LATENCY_BUCKETS_SECONDS,
    );
    registry.registerMetric(this.#late as never);
    this.#jitter = new Histogram({
      name: `${prefix}leg_jitter_seconds`,
      help: "Mean jitter of the caller's packets, a value a call",
      buckets: [...JITTER_BUCKETS_SECONDS],
      registers,
    });
    const source = () => this.#source;
    new Gauge({
      name: `${prefix}legs_active`,
      help: 'Calls that a switch has handed over',
      registers,
      collect() {
        this.set(source()?.active ?? 0);
      },
    });
    new Counter({
      name: `${prefix}leg_packets_total`,
      help: 'Packets of legs, by what became of them',
      labelNames: ['fate'],
      registers,
      collect() {
        const packets = source()?.packets();
        this.reset();
        for (const fate of LEG_PACKET_FATES) this.inc({ fate }, packets?.[fate] ?? 0);
      },
    });
  }

  /** Connects the metrics to what they show. */
  observe(source: LegSource): void {
    this.#source = source;
  }

  ended(outcome: (typeof LEG_OUTCOMES)[number], jitterMs: number | undefined): void {
    this.#ended.inc({ outcome });
    if (jitterMs !== undefined) this.#jitter.observe(jitterMs / 1000);
  }

  refused(reason: (typeof LEG_REFUSALS)[number]): void {
    this.#refused.inc({ reason });
  }

  sent(lateMs: number): void {
    this.#late.observe(lateMs / 1000);
  }
}
