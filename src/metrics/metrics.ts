import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { CALL_BUCKETS_SECONDS, LATENCY_BUCKETS_SECONDS, WAIT_BUCKETS_SECONDS } from './buckets.ts';
import { MergedHistogram } from './merged-histogram.ts';

const PREFIX = 'voice_gateway_';

/** What gauges read when they are scraped. */
export interface GaugeSources {
  sessionsActive(): number;
  sessionWorkers(): { readonly busy: number; readonly spare: number };
  audioPoolQueueDepth(): number;
  /** Seconds of audio in all outboxes. */
  outboxAudioSeconds(): number;
  summariesPending(): number;
}

/** Every metric of the gateway. Labels are bounded: no call, caller or tenant is ever one. */
export class Metrics {
  readonly registry = new Registry();

  readonly sessions = this.#counter('sessions_total', 'Sessions that ended or were refused, by outcome', ['outcome']);
  readonly sessionDuration = this.#histogram('session_duration_seconds', 'Length of calls', CALL_BUCKETS_SECONDS);
  readonly sessionSetup = this.#histogram(
    'session_setup_seconds',
    'From create to ready: agent profile, worker, upstream',
    WAIT_BUCKETS_SECONDS,
  );
  readonly uplinkLatency = new MergedHistogram(
    `${PREFIX}uplink_latency_seconds`,
    'From a chunk read off HTTP to its frame on the upstream socket',
    LATENCY_BUCKETS_SECONDS,
  );
  readonly downlinkLatency = this.#histogram(
    'downlink_latency_seconds',
    'From reply audio off the upstream socket to frames in the outbox',
    LATENCY_BUCKETS_SECONDS,
  );
  readonly outboxWait = this.#histogram(
    'outbox_wait_seconds',
    'Time a reply waited in the outbox for the client to read it',
    WAIT_BUCKETS_SECONDS,
  );
  readonly turnLatency = this.#histogram(
    'turn_latency_seconds',
    'From the end of speech, as the upstream found it, to the first reply audio handed to the client',
    WAIT_BUCKETS_SECONDS,
  );
  readonly bargeInReaction = this.#histogram(
    'barge_in_reaction_seconds',
    'From the upstream reporting speech to playback being stopped',
    LATENCY_BUCKETS_SECONDS,
  );
  readonly interruptions = this.#counter('interruptions_total', 'Replies that the caller interrupted');
  readonly audioPoolTask = this.#histogram(
    'audio_pool_task_seconds',
    'Batches of the audio pool, from hand-over to result',
    LATENCY_BUCKETS_SECONDS,
    ['task'],
  );
  readonly busCall = this.#histogram('bus_call_seconds', 'Calls between threads', LATENCY_BUCKETS_SECONDS, ['method']);
  readonly busCalls = this.#counter('bus_calls_total', 'Calls between threads, by outcome', ['method', 'code']);
  readonly upstreamConnect = this.#histogram(
    'upstream_connect_seconds',
    'From opening an upstream socket to its session being ready',
    WAIT_BUCKETS_SECONDS,
  );
  readonly upstreamReconnects = this.#counter('upstream_reconnects_total', 'Upstream sockets replaced mid-call', [
    'reason',
  ]);
  readonly upstreamErrors = this.#counter('upstream_errors_total', 'Errors of the upstream, by what they mean', [
    'class',
  ]);
  readonly upstreamTokens = this.#counter('upstream_tokens_total', 'Tokens billed by the upstream', ['type']);
  readonly audioSeconds = this.#counter('audio_seconds_total', 'Audio accepted from and delivered to callers', [
    'direction',
  ]);
  readonly audioRejected = this.#counter('audio_rejected_total', 'Chunks refused or dropped, by reason', ['reason']);
  readonly httpRequest = this.#histogram(
    'http_request_duration_seconds',
    'HTTP requests; polls include their wait',
    [...LATENCY_BUCKETS_SECONDS, 2.5, 5, 10, 30, 60],
    ['method', 'route', 'status'],
  );
  readonly toolCalls = this.#counter('tool_calls_total', 'Functions the model called, by outcome', ['outcome']);
  readonly summaries = this.#counter('summaries_total', 'Call summaries, by what became of them', ['outcome']);

  constructor() {
    collectDefaultMetrics({ register: this.registry });
    this.registry.registerMetric(this.uplinkLatency as never);
  }

  /** Connects the gauges to what they show. */
  observe(sources: GaugeSources): void {
    this.#gauge('sessions_active', 'Sessions going on', (gauge) => gauge.set(sources.sessionsActive()));
    this.#gauge(
      'session_workers',
      'Session worker threads',
      (gauge) => {
        const { busy, spare } = sources.sessionWorkers();
        gauge.set({ state: 'busy' }, busy);
        gauge.set({ state: 'spare' }, spare);
      },
      ['state'],
    );
    this.#gauge('audio_pool_queue_depth', 'Jobs waiting or running in the audio pool', (gauge) =>
      gauge.set(sources.audioPoolQueueDepth()),
    );
    this.#gauge('outbox_audio_seconds', 'Reply audio waiting for clients, over all calls', (gauge) =>
      gauge.set(sources.outboxAudioSeconds()),
    );
    this.#gauge('summaries_pending', 'Call summaries not yet taken by the W3 backend', (gauge) =>
      gauge.set(sources.summariesPending()),
    );
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[] = []): Counter<Label> {
    return new Counter({ name: PREFIX + name, help, labelNames, registers: [this.registry] });
  }

  #histogram<Label extends string>(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames: Label[] = [],
  ): Histogram<Label> {
    return new Histogram({ name: PREFIX + name, help, buckets: [...buckets], labelNames, registers: [this.registry] });
  }

  #gauge(name: string, help: string, read: (gauge: Gauge<string>) => void, labelNames: string[] = []): void {
    new Gauge({
      name: PREFIX + name,
      help,
      labelNames,
      registers: [this.registry],
      collect() {
        read(this);
      },
    });
  }
}
