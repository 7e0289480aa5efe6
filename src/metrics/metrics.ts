import { availableParallelism } from 'node:os';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import {
  BUS_BUCKETS_SECONDS,
  CALL_BUCKETS_SECONDS,
  COST_BUCKETS,
  HANDOVER_BUCKETS_SECONDS,
  HTTP_BUCKETS_SECONDS,
  LATENCY_BUCKETS_SECONDS,
  REACTION_BUCKETS_SECONDS,
  WAIT_BUCKETS_SECONDS,
} from './buckets.ts';
import {
  CUT_OFF_REASONS,
  DIRECTIONS,
  FORWARD_OUTCOMES,
  LET_GO_REASONS,
  RECONNECT_REASONS,
  RECORDING_OUTCOMES,
  REJECTED_REASONS,
  REPAIR_KINDS,
  SESSION_OUTCOMES,
  SUMMARY_OUTCOMES,
  TAKEOVER_REASONS,
  TOOL_OUTCOMES,
  TRACE_OUTCOMES,
  UNUSABLE_REASONS,
  UPSTREAM_ERROR_CLASSES,
} from './labels.ts';
import { LegMetrics } from './leg-metrics.ts';
import { LimitedLabels } from './limited-labels.ts';
import { MergedHistogram } from './merged-histogram.ts';
import { QuickCounter } from './quick-counter.ts';

const PREFIX = 'voice_gateway_';
const MAX_MODELS = 20;
const MAX_PAYERS = 500;

/** What gauges read when they are scraped. */
export interface GaugeSources {
  sessionsActive(): number;
  /** Most sessions that are taken. */
  readonly sessionsLimit: number;
  sessionWorkers(): { readonly busy: number; readonly spare: number };
  audioPoolQueueDepth(): number;
  /** Seconds of audio in all outboxes. */
  outboxAudioSeconds(): number;
  summariesPending(): number;
  store(): { readonly isUp: boolean; readonly unwritten: number; readonly byteCount: number };
  /** Tenants that have a budget and spent of it today. */
  budgets(): readonly { readonly tenantId: string; readonly spent: number; readonly budget: number }[];
  /** Streamed connections, by the direction of their audio. */
  duplexConnections(): { readonly up: number; readonly down: number };
  /** Facts of this process that do not change, as labels. */
  readonly info: Readonly<Record<'version' | 'node' | 'upstream' | 'session_workers', string>>;
}

/** What gauges of a node's part in a cluster read when they are scraped. */
export interface ClusterSources {
  nodes(): number;
  isDirectoryUp(): boolean;
  /** Calls that the directory has not been told of. */
  unregistered(): number;
}

/**
 * Every metric of the gateway. Labels are bounded: no call or caller is ever one, and a tenant of what it costs alone. What
 * is measured on other threads is counted there and merged here.
 */
export class Metrics {
  readonly registry = new Registry();

  readonly sessions = this.#counter('sessions_total', 'Sessions that ended or were refused, by outcome', {
    outcome: SESSION_OUTCOMES,
  });
  readonly sessionDuration = this.#histogram('session_duration_seconds', 'Length of calls', CALL_BUCKETS_SECONDS);
  readonly sessionSetup = this.#histogram(
    'session_setup_seconds',
    'From create to ready: agent profile, worker, upstream',
    WAIT_BUCKETS_SECONDS,
  );
  readonly uplinkLatency = this.#merged(
    'uplink_latency_seconds',
    'From a chunk read off HTTP to its frame on the upstream socket',
    LATENCY_BUCKETS_SECONDS,
  );
  readonly downlinkLatency = this.#merged(
    'downlink_latency_seconds',
    'From reply audio off the upstream socket to frames in the outbox',
    LATENCY_BUCKETS_SECONDS,
  );
  readonly outboxWait = this.#merged(
    'outbox_wait_seconds',
    'Time the oldest audio of an answer waited in the outbox for the client to read it',
    HANDOVER_BUCKETS_SECONDS,
  );
  readonly turnLatency = this.#histogram(
    'turn_latency_seconds',
    'From the end of speech, as the upstream found it, to the first reply audio handed to the client',
    WAIT_BUCKETS_SECONDS,
  );
  readonly bargeInReaction = this.#histogram(
    'barge_in_reaction_seconds',
    'From the upstream reporting speech to playback being stopped',
    REACTION_BUCKETS_SECONDS,
  );
  readonly interruptions = this.#counter('interruptions_total', 'Replies that the caller interrupted');
  readonly audioPoolTask = this.#histogram(
    'audio_pool_task_seconds',
    'Batches of the audio pool, from hand-over to result',
    LATENCY_BUCKETS_SECONDS,
    ['task'],
  );
  readonly busCall = this.#histogram(
    'bus_call_seconds',
    'Unary calls between threads, as the main thread made (session.*, store.*) or served (gateway.*, storeHost.*) them; streams last a call',
    BUS_BUCKETS_SECONDS,
    ['method'],
  );
  readonly busCalls = this.#counter('bus_calls_total', 'Calls and streams between threads that ended, by status code', {
    method: [],
    code: [],
  });
  readonly upstreamConnect = this.#histogram(
    'upstream_connect_seconds',
    "From asking for a call's first upstream session to its being ready, waiting and further attempts included",
    WAIT_BUCKETS_SECONDS,
  );
  readonly upstreamOutage = this.#histogram(
    'upstream_outage_seconds',
    'From losing the upstream in mid-call to going on with another',
    WAIT_BUCKETS_SECONDS,
  );
  readonly upstreamReconnects = this.#counter('upstream_reconnects_total', 'Upstream sockets replaced mid-call', {
    reason: RECONNECT_REASONS,
  });
  readonly upstreamErrors = this.#counter('upstream_errors_total', 'Errors of the upstream, by what they mean', {
    class: UPSTREAM_ERROR_CLASSES,
  });
  readonly upstreamEventsUnusable = this.#counter(
    'upstream_events_unusable_total',
    'Events of the upstream, or parts of them, that were dropped or repaired, by what was wrong',
    { reason: UNUSABLE_REASONS },
  );
  readonly upstreamRepairs = this.#counter(
    'upstream_repairs_total',
    'Times that the upstream left something open and the call went on all the same, by what was done',
    { kind: REPAIR_KINDS },
  );
  /** Models as labels. */
  readonly models = new LimitedLabels(MAX_MODELS);
  /** Tenants with their agents as labels, of what they cost alone. */
  readonly payers = new LimitedLabels(MAX_PAYERS);
  readonly upstreamTokens = this.#counter('upstream_tokens_total', 'Tokens billed by the upstream', {
    type: [],
    model: [],
  });
  readonly upstreamBilledSeconds = this.#counter(
    'upstream_billed_seconds_total',
    'Seconds of audio billed by the upstream, by models that are not billed by tokens',
    { model: [] },
  );
  readonly cost = this.#counter('cost_total', 'What calls cost by the list of prices, in its currency', {
    tenant: [],
    agent: [],
  });
  readonly unpriced = this.#counter(
    'unpriced_total',
    'Responses and transcriptions of models that the list of prices does not have',
    { model: [] },
  );
  readonly callCost = this.#histogram('call_cost', 'What a call costs by the list of prices', COST_BUCKETS);
  readonly audioSeconds = this.#quick(
    'audio_seconds_total',
    'Audio accepted from and delivered to callers',
    'direction',
    DIRECTIONS,
  );
  readonly audioRejected = this.#counter('audio_rejected_total', 'Chunks refused, dropped or missing, by reason', {
    reason: REJECTED_REASONS,
  });
  readonly httpRequest = this.#histogram(
    'http_request_duration_seconds',
    'HTTP requests; polls include their wait',
    HTTP_BUCKETS_SECONDS,
    ['method', 'route', 'status'],
  );
  readonly toolCalls = this.#counter('tool_calls_total', 'Functions the model called, by outcome', {
    outcome: TOOL_OUTCOMES,
  });
  readonly toolCall = this.#histogram(
    'tool_call_seconds',
    'Functions the model called; actions include the wait until the client has them',
    WAIT_BUCKETS_SECONDS,
  );
  readonly summaries = this.#counter('summaries_total', 'Call summaries, by what became of them', {
    outcome: SUMMARY_OUTCOMES,
  });
  readonly recordings = this.#counter('recordings_total', 'Recordings of calls, by what became of them', {
    outcome: RECORDING_OUTCOMES,
  });
  readonly duplexLate = this.#merged(
    'duplex_late_seconds',
    'How far behind its time the audio of streamed calls was written',
    LATENCY_BUCKETS_SECONDS,
  );
  readonly duplexUnderruns = this.#counter(
    'duplex_underruns_total',
    'Times that a streamed client ran out of audio, because the gateway was late or the client did not read',
  );
  readonly duplexCutOff = this.#counter('duplex_cut_off_total', 'Streams that the gateway broke off, by reason', {
    reason: CUT_OFF_REASONS,
  });
  readonly storeFailures = this.#counter(
    'store_failures_total',
    'Attempts to open or to write the store of calls that failed',
  );
  readonly traceSpans = this.#counter('trace_spans_total', 'Spans of traces, by what became of them', {
    outcome: TRACE_OUTCOMES,
  });
  readonly workersLost = this.#counter('session_workers_lost_total', 'Session worker threads that died unasked');
  readonly workerBusySeconds = this.#counter(
    'session_worker_busy_seconds_total',
    'Time session workers were running code, over all of them',
  );

  /** Of calls that a switch has handed over. */
  readonly legs = new LegMetrics(this.registry, PREFIX);
  readonly clusterForwarded = this.#counter(
    'cluster_forwarded_total',
    'Requests that another node of the cluster was to answer, by what became of them',
    { outcome: FORWARD_OUTCOMES },
  );
  readonly clusterTakeovers = this.#counter('cluster_takeovers_total', 'Calls that went on at this node, by reason', {
    reason: TAKEOVER_REASONS,
  });
  readonly clusterTakeover = this.#histogram(
    'cluster_takeover_seconds',
    'From the last sign of life of a call at its old node to its going on at this one',
    WAIT_BUCKETS_SECONDS,
  );
  readonly clusterLetGo = this.#counter(
    'cluster_calls_let_go_total',
    'Calls that this node let go of because another has taken them, by reason',
    { reason: LET_GO_REASONS },
  );

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** Connects the gauges to what they show. */
  observe(sources: GaugeSources): void {
    this.#gauge('sessions_active', 'Sessions going on', (gauge) => gauge.set(sources.sessionsActive()));
    this.#gauge('sessions_limit', 'Most sessions that are taken', (gauge) => gauge.set(sources.sessionsLimit));
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
    this.#gauge(
      'duplex_connections',
      'Streamed connections; one that carries both directions counts in each',
      (gauge) => {
        const { up, down } = sources.duplexConnections();
        gauge.set({ direction: 'up' }, up);
        gauge.set({ direction: 'down' }, down);
      },
      ['direction'],
    );
    this.#gauge(
      'tenant_budget_used_ratio',
      "Part of its day's budget that a tenant has spent",
      (gauge) => {
        gauge.reset();
        for (const { tenantId, spent, budget } of sources.budgets().slice(0, MAX_PAYERS)) {
          gauge.set({ tenant: tenantId }, spent / budget);
        }
      },
      ['tenant'],
    );
    this.#gauge('store_up', '1 while the disk takes the calls that end', (gauge) =>
      gauge.set(sources.store().isUp ? 1 : 0),
    );
    this.#gauge('store_unwritten', 'Calls that ended and are only in memory', (gauge) =>
      gauge.set(sources.store().unwritten),
    );
    this.#gauge('store_size_bytes', 'Size of the store of calls', (gauge) => gauge.set(sources.store().byteCount));
    this.#gauge(
      'info',
      'Always 1; its labels say what runs here',
      (gauge) => gauge.set({ ...sources.info }, 1),
      Object.keys(sources.info),
    );
    this.#gauge('cpus', 'CPUs this process may use', (gauge) => gauge.set(availableParallelism()));
    this.#mainThreadBusy();
  }

  /** Connects the gauges of a node's part in a cluster. */
  observeCluster(sources: ClusterSources): void {
    this.#gauge('cluster_nodes', 'Nodes of the cluster that live, this one included', (gauge) =>
      gauge.set(sources.nodes()),
    );
    this.#gauge('cluster_directory_up', '1 while the directory of the cluster (Redis) answers', (gauge) =>
      gauge.set(sources.isDirectoryUp() ? 1 : 0),
    );
    this.#gauge(
      'cluster_calls_unregistered',
      'Calls that began while the directory was away, and that only this node knows of',
      (gauge) => gauge.set(sources.unregistered()),
    );
  }

  /** The classic Prometheus text, whatever the client would accept: OpenMetrics has other series names. */
  async exposition(): Promise<{ contentType: string; text: string }> {
    return { contentType: Registry.PROMETHEUS_CONTENT_TYPE, text: await this.registry.metrics() };
  }

  /** @param values the values each label is known to take; with all of them known the series start at 0 */
  #counter<Label extends string = never>(
    name: string,
    help: string,
    values = {} as Record<Label, readonly string[]>,
  ): Counter<Label> {
    const labelNames = Object.keys(values) as Label[];
    const counter = new Counter({ name: PREFIX + name, help, labelNames, registers: [this.registry] });
    const [label] = labelNames;
    if (label !== undefined && labelNames.length === 1) {
      for (const value of values[label]) counter.inc({ [label]: value } as Record<Label, string>, 0);
    }
    return counter;
  }

  #histogram<Label extends string>(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames: Label[] = [],
  ): Histogram<Label> {
    return new Histogram({ name: PREFIX + name, help, buckets: [...buckets], labelNames, registers: [this.registry] });
  }

  #merged(name: string, help: string, edges: readonly number[]): MergedHistogram {
    const histogram = new MergedHistogram(PREFIX + name, help, edges);
    this.registry.registerMetric(histogram as never);
    return histogram;
  }

  #quick<Value extends string>(
    name: string,
    help: string,
    label: string,
    values: readonly Value[],
  ): QuickCounter<Value> {
    const counter = new QuickCounter(PREFIX + name, help, label, values);
    this.registry.registerMetric(counter as never);
    return counter;
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

  /** The loop's own account of its time: a rate of it is the share of a core that the main thread is busy. */
  #mainThreadBusy(): void {
    let countedMs = 0;
    new Counter({
      name: `${PREFIX}main_thread_busy_seconds_total`,
      help: 'Time the main thread was running code; it can use one core',
      registers: [this.registry],
      collect() {
        const { active } = performance.eventLoopUtilization();
        this.inc(Math.max(0, active - countedMs) / 1000);
        countedMs = active;
      },
    });
  }
}
