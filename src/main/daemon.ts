import { createHash } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { AgentProfiles } from '../backend/profiles/agent-profiles.ts';
import { SummaryDelivery } from '../backend/summaries/summary-delivery.ts';
import { storeEntry } from '../call/record/store-entry.ts';
import { Cluster } from '../cluster/cluster.ts';
import type { LocalGateway } from '../cluster/cluster-gateway.ts';
import type { Config } from '../config/config.ts';
import { credentialsOf } from '../config/credentials.ts';
import { maskUrl } from '../config/masked-url.ts';
import { isLoopback } from '../config/subjects/access.ts';
import { buildApp, closeApp } from '../http/app.ts';
import { Connections } from '../http/connections.ts';
import { KeyRing } from '../http/key-ring.ts';
import { readTls } from '../http/tls.ts';
import { openLegs } from '../leg/open-legs.ts';
import { methodLabel } from '../metrics/labels.ts';
import { Metrics } from '../metrics/metrics.ts';
import { type EmbeddedSimulator, startEmbeddedSimulator } from '../simulator/embedded.ts';
import { Descriptors } from '../status/descriptors.ts';
import { GatewayStatus } from '../status/gateway-status.ts';
import { defaultRssLimitMb, type LoadProbes, OverloadGuard, processProbes } from '../status/overload.ts';
import type { StoreError } from '../store/errors.ts';
import { credentialHeaders } from '../upstream/credentials.ts';
import type { ReconnectPolicy } from '../upstream/reconnect-policy.ts';
import { CallStore } from '../workers/store/call-store.ts';
import { capacityNote } from './capacity-note.ts';
import { checkDefaultAgent } from './check.ts';
import { openCosts } from './costs.ts';
import { openTraces } from './tracing.ts';
import { version } from './version.ts';
import { VoiceGateway } from './voice-gateway.ts';

/** Upstream connections opened a second, over all calls. */
const CONNECTS_PER_SECOND = 50;

/** How much of its grace a stopping node waits for quiet moments to pass its calls on. */
const HAND_OVER_SHARE = 0.7;

/** How long a stopping daemon tries to hand its last summaries to the backend; the rest waits in the store. */
const SUMMARY_FLUSH_MS = 3_000;

/** A running daemon. Whoever starts it stops it. */
export interface Daemon {
  /** Where it listens, `http://127.0.0.1:3105`. */
  readonly url: string;
  readonly gateway: VoiceGateway;
  /** The history of calls. */
  readonly store: CallStore;
  /** Where FreeSWITCH hands calls over; undefined: it does not. */
  readonly legPort: number | undefined;
  /**
   * Takes no more calls and lets running ones finish for up to `graceMs`; then everything is closed. Once it stops, only
   * `graceMs` 0 makes a difference: running calls end at once.
   */
  stop(graceMs?: number): Promise<void>;
}

export interface DaemonOverrides {
  /** Default: one that measures. */
  readonly metrics?: Metrics;
  /** When to reconnect and rotate; the defaults suit the real upstream. */
  readonly reconnect?: Partial<ReconnectPolicy>;
  readonly connectsPerSecond?: number;
  readonly maxOutboxMs?: number;
  readonly fillerAfterMs?: number;
  /** How long an early chunk waits for the missing one. */
  readonly reorderWaitMs?: number;
  /** Where the load is read, in the place of this process. */
  readonly load?: LoadProbes;
}

/**
 * Starts everything: the simulator where no upstream is configured, profiles, threads, HTTP.
 * @throws {Error} when a file of the configuration cannot be used, or the address is taken
 */
export async function startDaemon(config: Config, log: Logger, overrides: DaemonOverrides = {}): Promise<Daemon> {
  const { env } = config;
  const closers: (() => unknown)[] = [];
  const stopAll = async () => {
    for (let close = closers.pop(); close; close = closers.pop()) await close();
  };
  try {
    const profiles = await openProfiles(config, log);
    closers.push(() => profiles.close());
    checkDefaultAgent(config, profiles.localRefs);
    const metrics = overrides.metrics ?? new Metrics();
    const store = await openStore(config, log, metrics);
    closers.push(() => store.close());
    const summaries = openSummaries(config, log, metrics, store);
    closers.push(async () => {
      await summaries.flush(SUMMARY_FLUSH_MS);
      await summaries.close();
    });
    const kept = { isForBackend: env.W3_API_URL !== undefined, hasHistory: env.JOURNAL_RETENTION_DAYS > 0 };
    const keys = openKeys(config, log);
    closers.push(() => keys.close());
    const costs = await openCosts(config, keys, store, log);
    const traces = await openTraces(config, log, metrics);
    closers.push(() => traces.close());
    const simulator = config.upstreamUrl === undefined ? await startEmbeddedSimulator() : undefined;
    if (simulator) closers.push(() => simulator.close());
    const credentials = credentialsOf(config);
    // A call would be the first to find out that a file is missing.
    credentialHeaders(credentials);
    const tls = readTls(env);
    const probes = processProbes(() => gateway.poolQueueDepth);
    closers.push(() => probes.close());
    const descriptors = new Descriptors({
      sessionWorkers: config.sessionWorkers,
      calls: () => gateway.health().sessions,
    });
    const guard = new OverloadGuard({
      limits: {
        eventLoopMs: env.OVERLOAD_EVENT_LOOP_MS,
        poolQueue: env.OVERLOAD_POOL_QUEUE,
        rssMb: env.OVERLOAD_RSS_MB ?? defaultRssLimitMb(),
      },
      probes: overrides.load ?? probes,
      descriptors,
      onChange: (reason) => {
        if (reason) log.warn({ reason }, 'overloaded: new calls are refused');
        else log.info('no longer overloaded');
      },
    });
    closers.push(() => guard.close());
    const gateway = new VoiceGateway({
      version,
      metrics,
      costs,
      traces,
      log,
      upstream: config.upstream,
      upstreamUrls: { realtime: upstreamUrlOf(config, simulator) },
      upstreamCredentials: simulator ? { apiKey: 'simulator' } : credentials,
      callerHashKey: env.CALLER_HASH_KEY ?? derivedHashKey(config),
      defaultModel: env.OPENAI_REALTIME_MODEL,
      defaultTenantId: env.DEFAULT_TENANT_ID,
      defaultAgentRef: env.DEFAULT_AGENT_REF,
      sessionWorkers: config.sessionWorkers,
      spareSessionWorkers: env.SPARE_SESSION_WORKERS,
      audioThreads: config.audioThreads,
      maxSessions: env.MAX_SESSIONS,
      maxSessionsPerTenant: env.MAX_SESSIONS_PER_TENANT,
      createTimeoutMs: env.CREATE_TIMEOUT_MS,
      idleTimeoutMs: env.SESSION_IDLE_TIMEOUT_MS,
      firstAudioTimeoutMs: env.FIRST_AUDIO_TIMEOUT_MS,
      connectsPerSecond: overrides.connectsPerSecond ?? CONNECTS_PER_SECOND,
      reconnect: overrides.reconnect,
      maxOutboxMs: overrides.maxOutboxMs,
      fillerAfterMs: overrides.fillerAfterMs,
      agentProfile: (ref, tenantId) => profiles.get(ref, tenantId),
      reorderWaitMs: overrides.reorderWaitMs,
      overload: () => guard.reason,
      summariesPending: () => summaries.pending,
      store: () => store.state,
      onChanged: (call) => cluster.gateway.changed(call),
      mayAct: (call) => cluster.gateway.mayAct(call),
      writeRecording: (batch) => store.writeRecording(batch),
      onConcluded: async (session, summary) => {
        await summaries.record(storeEntry(session, summary, kept));
        const { tenantId, request } = session.setup;
        await cluster.gateway.concluded({ tenantId, callId: request.callId }, summary);
      },
    });
    closers.push(() => gateway.close());
    const cluster: Cluster = await openCluster(config, log, metrics, gateway);
    closers.push(() => cluster.close());
    const connections = new Connections();
    const status = new GatewayStatus({
      gateway,
      maxSessions: env.MAX_SESSIONS,
      guard,
      descriptors,
      store,
      summaries,
      profiles,
      hasBackend: env.W3_API_URL !== undefined,
      cluster,
    });
    const app = await buildApp({
      gateway: cluster.gateway,
      status,
      router: cluster.router,
      connections,
      history: store,
      currency: costs.prices.currency,
      keys,
      logger: log,
      version,
      openMetrics: isLoopback(env.HOST) || keys.isOpen,
      trustProxy: config.trustProxy,
      tls,
      onRequestEnd: (method, route, status, seconds) =>
        metrics.httpRequest.observe({ method: methodLabel(method), route, status: String(status) }, seconds),
    });
    closers.push(() => closeApp(app));
    const maxConnections = descriptors.maxConnections();
    connections.limit = maxConnections;
    await listen(app, config);
    const legs = await openLegs(config, gateway, keys, metrics.legs, log);
    if (legs) closers.push(() => legs.close());
    const url = urlOf(app, tls !== undefined);
    await cluster.join(env.NODE_URL ?? nodeUrlOf(url));
    log.info(
      {
        url,
        version,
        upstream: config.upstream,
        sessionWorkers: config.sessionWorkers,
        capacity: capacityNote(config.sessionWorkers),
        audioThreads: config.audioThreads,
        ...(Number.isFinite(maxConnections) ? { maxConnections } : {}),
        agents: profiles.localRefs,
      },
      config.upstream === 'simulator'
        ? 'listening; no OPENAI_API_KEY is set, so the embedded simulator answers the calls'
        : 'listening',
    );
    let stopping: Promise<void> | undefined;
    return {
      url,
      gateway,
      store,
      legPort: legs?.port,
      stop: (graceMs = 0) => {
        legs?.drain();
        if (stopping && graceMs === 0) return gateway.drain(0).then(() => stopping);
        // What no other node takes by then ends here.
        const handedOver = graceMs > 0 ? cluster.handOver(graceMs * HAND_OVER_SHARE) : Promise.resolve();
        stopping ??= Promise.all([gateway.drain(graceMs), handedOver]).then(stopAll);
        return stopping;
      },
    };
  } catch (error) {
    await stopAll();
    throw error;
  }
}

function openProfiles({ env }: Config, log: Logger): Promise<AgentProfiles> {
  const apiKey = env.W3_API_KEY ?? env.W3_VOICE_GATEWAY_API_KEY;
  return AgentProfiles.open({
    directory: env.AGENTS_DIR,
    log,
    ...(env.W3_API_URL === undefined
      ? {}
      : { remote: { url: env.W3_API_URL, apiKey, defaultRef: env.DEFAULT_AGENT_REF } }),
  });
}

async function openStore({ env }: Config, log: Logger, metrics: Metrics): Promise<CallStore> {
  try {
    return await CallStore.open({
      directory: env.DATA_DIR,
      retentionDays: env.JOURNAL_RETENTION_DAYS,
      recordingRetentionDays: env.RECORDING_RETENTION_DAYS,
      recordingMinFreeBytes: env.RECORDING_MIN_FREE_MB * 1024 * 1024,
      log,
      onFailure: () => metrics.storeFailures.inc(),
      onBusCall: (method, code, durationMs) => {
        metrics.busCalls.inc({ method, code });
        metrics.busCall.observe({ method }, durationMs / 1000);
      },
    });
  } catch (cause) {
    const { code, message } = cause as StoreError;
    if (code === 'store_locked') throw cause;
    throw new Error(`DATA_DIR is "${env.DATA_DIR}", but calls cannot be kept there: ${message}`, { cause });
  }
}

function openSummaries({ env }: Config, log: Logger, metrics: Metrics, store: CallStore): SummaryDelivery {
  const apiKey = env.W3_API_KEY ?? env.W3_VOICE_GATEWAY_API_KEY;
  if (env.W3_API_URL === undefined && env.JOURNAL_RETENTION_DAYS === 0) {
    log.warn({}, 'calls are not kept: W3_API_URL is not set, and JOURNAL_RETENTION_DAYS is 0');
  }
  return new SummaryDelivery({
    store,
    log,
    onResult: ({ outcome }) => metrics.summaries.inc({ outcome }),
    ...(env.W3_API_URL === undefined ? {} : { remote: { url: env.W3_API_URL, apiKey } }),
  });
}

async function openCluster({ env }: Config, log: Logger, metrics: Metrics, local: LocalGateway): Promise<Cluster> {
  const { CLUSTER_URL: url, CLUSTER_KEY: key = '' } = env;
  try {
    return await Cluster.open({
      local,
      shared: url === undefined ? undefined : { url, key },
      maxSessionsPerTenant: env.MAX_SESSIONS_PER_TENANT,
      idleTimeoutMs: env.SESSION_IDLE_TIMEOUT_MS,
      createTimeoutMs: env.CREATE_TIMEOUT_MS,
      log,
      metrics,
    });
  } catch (cause) {
    const why = (cause as Error).message;
    throw new Error(`CLUSTER_URL is "${maskUrl(url ?? '')}", but Redis cannot be used there: ${why}`, { cause });
  }
}

/** Where other nodes reach one that is not told: at its address, or where it listens on every one, by its machine's name. */
function nodeUrlOf(url: string): string {
  const { protocol, hostname: address, port } = new URL(url);
  const isAny = address === '0.0.0.0' || address === '[::]';
  return `${protocol}//${isAny ? hostname() : address}:${port}`;
}

async function listen(app: FastifyInstance, { env }: Config): Promise<void> {
  try {
    await app.listen({ host: env.HOST, port: env.PORT });
  } catch (cause) {
    const why = (cause as Error).message;
    throw new Error(`HOST is "${env.HOST}" and PORT is ${env.PORT}, but nobody can listen there: ${why}`, { cause });
  }
}

function openKeys({ env }: Config, log: Logger): KeyRing {
  return new KeyRing({
    operatorKey: env.W3_VOICE_GATEWAY_API_KEY,
    keysFile: env.API_KEYS_FILE,
    onReload: (problem, keyCount) => {
      if (problem) log.error({ err: problem, keyCount }, 'keys file refused, the old keys stay');
      else log.info({ keyCount }, 'keys file read');
    },
  });
}

function upstreamUrlOf(config: Config, simulator: EmbeddedSimulator | undefined): string {
  const url = config.upstreamUrl ?? simulator?.url;
  if (url === undefined) throw new Error('there is neither an upstream URL nor a simulator');
  return url;
}

/** Stable across restarts as long as the keys are; the hashes cannot be made without them. */
function derivedHashKey({ env }: Config): string {
  const secret = env.OPENAI_API_KEY ?? env.W3_VOICE_GATEWAY_API_KEY ?? 'no key';
  return createHash('sha256').update(`caller hash of the voice gateway\n${secret}`).digest('hex');
}

function urlOf(app: FastifyInstance, isTls: boolean): string {
  const { address, port, family } = app.server.address() as AddressInfo;
  return `${isTls ? 'https' : 'http'}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
