import type { Logger } from 'pino';
import type { LoadedProfile } from '../backend/profiles/agent-profiles.ts';
import type { CallInfo } from '../call/call-info.ts';
import { Metronome } from '../call/duplex/metronome.ts';
import { CallError } from '../call/errors.ts';
import type { CallOrigin } from '../call/life.ts';
import type { WriteRecording } from '../call/record/call-recording.ts';
import type { Summary } from '../call/record/record.ts';
import { Fillers } from '../call/reply/fillers.ts';
import type { Departure } from '../call/reply/poll-wait.ts';
import { Session, type SessionListener } from '../call/session.ts';
import { callerHash, callFormats, maskNumber } from '../call/settings.ts';
import type { SessionDeps, SessionSetup } from '../call/setup.ts';
import type { CallSnapshot } from '../call/snapshot.ts';
import { monotonicNowMs } from '../clock.ts';
import type { LocalGateway, Origin } from '../cluster/cluster-gateway.ts';
import type { CallName } from '../cluster/directory.ts';
import type { Costs } from '../costs/call-costs.ts';
import { sentenceOf } from '../http/errors.ts';
import type { CallSession, Scope } from '../http/gateway.ts';
import type { CreateAnswer, CreateBody, Health, Readiness } from '../http/schemas.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Traces } from '../traces/traces.ts';
import { ConnectGovernor } from '../upstream/connect-governor.ts';
import type { ConnectReport } from '../upstream/connect-record.ts';
import type { Credentials } from '../upstream/credentials.ts';
import { type Protocol, protocolOf } from '../upstream/protocol.ts';
import { DEFAULT_RECONNECT_POLICY, type ReconnectPolicy } from '../upstream/reconnect-policy.ts';
import { AudioPool } from '../workers/audio/pool.ts';
import { isStream } from '../workers/session/service.ts';
import { SessionWorkers } from '../workers/session/workers.ts';
import type { StoreState } from '../workers/store/call-store.ts';
import { Admission } from './admission.ts';
import { SessionTable } from './session-table.ts';
import { workerRequests } from './worker-requests.ts';

const TICK_MS = 1_000;
/** How long after its attempt must have ended a permit is taken back. */
const PERMIT_GRACE_MS = 5_000;
const OUTBOX_KEPT_MS = 60_000;
const MAX_OUTBOX_MS = 300_000;
const SUMMARY_KEPT_MS = 600_000;

export interface VoiceGatewayOptions {
  readonly version: string;
  readonly upstream: 'openai' | 'simulator';
  /** Where each protocol is spoken. */
  readonly upstreamUrls: Readonly<Record<Protocol, string>>;
  readonly upstreamCredentials: Credentials;
  readonly callerHashKey: string;
  readonly defaultModel: string;
  readonly defaultTenantId: string;
  readonly defaultAgentRef: string;
  readonly sessionWorkers: 'dedicated' | number;
  readonly spareSessionWorkers: number;
  readonly audioThreads: number;
  readonly maxSessions: number;
  readonly maxSessionsPerTenant: number | undefined;
  readonly createTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly firstAudioTimeoutMs: number;
  readonly connectsPerSecond: number;
  readonly reconnect?: Partial<ReconnectPolicy> | undefined;
  /** Most reply audio a call may have queued; default 300 000 ms. */
  readonly maxOutboxMs?: number | undefined;
  /** Silence before a caller who waits for a lost answer is played the filler; default 1500 ms. */
  readonly fillerAfterMs?: number | undefined;
  readonly metrics: Metrics;
  readonly costs: Costs;
  readonly traces: Traces;
  readonly log: Logger;
  /** The profile of an agent; undefined: nobody knows it. */
  readonly agentProfile: (ref: string, tenantId: string) => Promise<LoadedProfile | undefined>;
  /** Call summaries that wait for the backend. */
  readonly summariesPending?: () => number;
  /** How the store of calls does. */
  readonly store?: () => StoreState;
  /** Given each session that has ended, with its summary; resolves when the summary is safe. */
  readonly onConcluded?: (session: Session, summary: Summary) => Promise<void>;
  /** Told when something of a call has changed that a process that takes it up would have to know. */
  readonly onChanged?: (call: CallName) => void;
  /** Asked before something is done for a call that must not be done twice, in this process or another. */
  readonly mayAct?: (call: CallName) => Promise<boolean>;
  /** Puts recordings on the disk; absent: nothing is recorded. */
  readonly writeRecording?: WriteRecording | undefined;
  /** How long an early chunk waits for the missing one. */
  readonly reorderWaitMs?: number | undefined;
  /** Why new calls are to be refused at the moment, if they are. */
  readonly overload?: () => string | undefined;
}

/** The calls of one daemon: takes new ones, finds running ones, ends them all. Whoever creates it closes it. */
export class VoiceGateway implements LocalGateway, SessionListener {
  readonly #options: VoiceGatewayOptions;
  readonly #sessions = new SessionTable();
  /** Creations under way, by session, so that concurrent duplicates open one session. */
  readonly #opening = new Map<Session, Promise<void>>();
  readonly #pool: AudioPool;
  readonly #fillers: Fillers;
  readonly #metronome: Metronome;
  readonly #workers: SessionWorkers;
  readonly #governor: ConnectGovernor;
  readonly #admission: Admission;
  readonly #reconnect: ReconnectPolicy;
  readonly #startedAtMs = monotonicNowMs();
  readonly #ticker: NodeJS.Timeout;

  constructor(options: VoiceGatewayOptions) {
    this.#options = options;
    const { metrics, log } = options;
    this.#reconnect = { ...DEFAULT_RECONNECT_POLICY, ...options.reconnect };
    const { maxSessions, maxSessionsPerTenant, costs, overload } = options;
    const sessions = this.#sessions;
    this.#admission = new Admission({ sessions, maxSessions, maxSessionsPerTenant, costs, overload, metrics, log });
    this.#governor = new ConnectGovernor({
      perSecond: options.connectsPerSecond,
      permitMs: this.#reconnect.connectTimeoutMs + PERMIT_GRACE_MS,
    });
    this.#pool = new AudioPool({
      threads: options.audioThreads,
      onBatch: (seconds, jobs) => metrics.audioPoolTask.observe({ task: taskOf(jobs) }, seconds),
    });
    this.#fillers = new Fillers(this.#pool);
    this.#metronome = new Metronome((err) => log.error({ err }, 'a stream failed on its beat'));
    this.#workers = new SessionWorkers({
      mode: options.sessionWorkers,
      spares: options.spareSessionWorkers,
      gateway: workerRequests(this.#sessions, this.#governor, metrics),
      onBusCall: (method, code, durationMs) => {
        metrics.busCalls.inc({ method, code });
        if (!isStream(method)) metrics.busCall.observe({ method }, durationMs / 1000);
      },
      onWorkerLost: (workerId, error) => {
        metrics.workersLost.inc();
        log.error({ workerId, err: error }, 'session worker died');
      },
    });
    metrics.observe({
      sessionsActive: () => this.#sessions.openCount,
      sessionsLimit: options.maxSessions,
      sessionWorkers: () => this.#workers.counts,
      audioPoolQueueDepth: () => this.#pool.queueDepth,
      outboxAudioSeconds: () => {
        let totalMs = 0;
        for (const session of this.#sessions.all()) totalMs += session.queuedAudioMs;
        return totalMs / 1000;
      },
      duplexConnections: () => {
        const counts = { up: 0, down: 0 };
        for (const { streamCounts } of this.#sessions.all()) {
          counts.up += streamCounts.up;
          counts.down += streamCounts.down;
        }
        return counts;
      },
      budgets: () => options.costs.budgets.states,
      summariesPending: options.summariesPending ?? (() => 0),
      store: options.store ?? (() => ({ isUp: true, unwritten: 0, byteCount: 0 })),
      info: {
        version: options.version,
        node: process.version,
        upstream: options.upstream,
        session_workers: String(options.sessionWorkers),
      },
    });
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
  }

  async createSession(scope: Scope, body: CreateBody, requestId: string, client: Departure): Promise<CreateAnswer> {
    const tenantId = this.tenantOf(scope, body);
    const existing = this.#sessions.get(tenantId, body.callId);
    if (existing && !existing.isOver) {
      await this.#opening.get(existing);
      return this.#created(existing, 'existing', client);
    }
    const startedAtMs = monotonicNowMs();
    const formats = callFormats(body);
    const call = { callId: body.callId, tenantId, requestId };
    this.#admission.check(call);
    const aiAgentRef = body.aiAgentRef ?? this.#options.defaultAgentRef;
    const profile = await this.#options.agentProfile(aiAgentRef, tenantId);
    if (!profile) {
      throw this.#admission.turnedAway(new CallError('agent_not_found', { aiAgentRef }), call);
    }
    // While the profile was fetched, a duplicate of this request may have come as far.
    const rival = this.#sessions.get(tenantId, body.callId);
    if (rival && !rival.isOver) {
      await this.#opening.get(rival);
      return this.#created(rival, 'existing', client);
    }
    this.#admission.check(call);
    // What an earlier call of this name has not delivered yet, nobody will ask for any more.
    // Not awaited: until this session is in the table, nobody else may come here.
    if (rival?.state === 'ending') void rival.end();
    const session = this.#newSession({ tenantId, aiAgentRef, request: body, profile, formats });
    session.observer.started({
      requestId,
      sessionId: session.id,
      aiAgentRef,
      did: body.did,
      callerNumber: maskNumber(body.callerNumber),
      encoding: formats.call.encoding,
      sampleRateHz: formats.call.sampleRateHz,
    });
    this.#sessions.add(session);
    const opening = session.open(this.#options.createTimeoutMs);
    this.#opening.set(session, opening);
    try {
      await opening;
    } catch (error) {
      this.#sessions.markOver(session);
      // One that was ended while it was created has its summary, which is kept.
      if (!session.summary) this.#sessions.remove(session);
      const failure = error as CallError;
      session.observer.notStarted(failure.code, sentenceOf(failure), failure);
      throw error;
    } finally {
      this.#opening.delete(session);
    }
    session.observer.ready(monotonicNowMs() - startedAtMs);
    return this.#created(session, 'created', client);
  }

  #newSession(call: Omit<SessionSetup, 'log' | 'target'>, origin?: CallOrigin): Session {
    const { tenantId, profile, request } = call;
    const { callId, callerNumber } = request;
    const { upstreamUrls, upstreamCredentials, defaultModel, callerHashKey } = this.#options;
    const protocol = protocolOf(profile, profile.model ?? defaultModel);
    const safetyIdentifier = callerHash(callerHashKey, tenantId, callerNumber);
    const target = { protocol, url: upstreamUrls[protocol], ...upstreamCredentials, safetyIdentifier };
    const log = this.#options.log.child({ callId, tenantId });
    return new Session({ ...call, log, target }, this.#sessionDeps, this, origin);
  }

  get #sessionDeps(): SessionDeps {
    const { metrics, defaultModel, costs, maxOutboxMs, fillerAfterMs, reorderWaitMs } = this.#options;
    const { idleTimeoutMs, firstAudioTimeoutMs, sessionWorkers, writeRecording, traces } = this.#options;
    return {
      pool: this.#pool,
      workers: this.#workers,
      metronome: this.#metronome,
      metrics,
      reconnect: this.#reconnect,
      fillers: this.#fillers,
      maxOutboxMs: maxOutboxMs ?? MAX_OUTBOX_MS,
      fillerAfterMs,
      reorderWaitMs,
      defaultModel,
      costs,
      writeRecording,
      traces,
      survivesWorkerLoss: sessionWorkers !== 'dedicated',
      limits: { idleTimeoutMs, firstAudioTimeoutMs, outboxKeptMs: OUTBOX_KEPT_MS, summaryKeptMs: SUMMARY_KEPT_MS },
    };
  }

  // What goes on in another process, or comes from there

  snapshotOf({ tenantId, callId }: CallName): string | undefined {
    const session = this.#sessions.get(tenantId, callId);
    return session?.state === 'active' ? JSON.stringify(session.snapshot()) : undefined;
  }

  resume(snapshot: string, origin: Origin): void {
    const from = { ...origin, snapshot: JSON.parse(snapshot) as CallSnapshot };
    this.#adopt(from).resume(from);
  }

  conclude(snapshot: string, origin: Origin): Promise<void> {
    const from = { ...origin, snapshot: JSON.parse(snapshot) as CallSnapshot };
    return this.#adopt(from).concludeOrphan(from);
  }

  #adopt(origin: CallOrigin): Session {
    const { tenantId, aiAgentRef, request, profile } = origin.snapshot;
    const formats = callFormats(request);
    const session = this.#newSession({ tenantId, aiAgentRef, request, profile, formats }, origin);
    this.#sessions.add(session);
    return session;
  }

  letGo({ tenantId, callId }: CallName): void {
    const session = this.#sessions.get(tenantId, callId);
    if (!session || session.state === 'ended') return;
    session.letGo();
    this.#sessions.markOver(session);
    this.#sessions.remove(session);
  }

  isQuiet({ tenantId, callId }: CallName): boolean {
    return this.#sessions.get(tenantId, callId)?.isQuiet ?? false;
  }

  findSession(scope: Scope, callId: string): CallSession {
    return this.#sessions.find(scope, callId);
  }

  standingOf(scope: Scope, callId: string): 'live' | 'over' | undefined {
    return this.#sessions.standingOf(scope, callId);
  }

  hasOpen({ tenantId, callId }: CallName): boolean {
    const session = this.#sessions.get(tenantId, callId);
    return session !== undefined && !session.isOver;
  }

  listSessions(scope: Scope): CallInfo[] {
    return this.#sessions
      .list(scope)
      .filter((session) => session.state !== 'ended')
      .map((session) => session.info());
  }

  *runningCalls(): Iterable<CallSession> {
    for (const session of this.#sessions.all()) if (session.state !== 'ended') yield session;
  }

  /** How the last connections to the AI went. */
  get connects(): ConnectReport {
    return this.#governor.report;
  }

  /** Jobs that wait for the audio pool, or run. */
  get poolQueueDepth(): number {
    return this.#pool.queueDepth;
  }

  health(): Health {
    const { version, upstream } = this.#options;
    return {
      status: this.#admission.isDraining ? 'draining' : 'ok',
      version,
      uptimeSeconds: Math.round((monotonicNowMs() - this.#startedAtMs) / 1000),
      upstream,
      sessions: this.#sessions.openCount,
    };
  }

  readiness(): Readiness {
    const refusal = this.#admission.refusal();
    return refusal === undefined ? { ready: true } : { ready: false, reason: sentenceOf(refusal) };
  }

  metrics(): Promise<{ contentType: string; text: string }> {
    return this.#options.metrics.exposition();
  }

  /** Takes no more calls, waits up to `graceMs` for those that run to end, then ends them (`shutdown`). */
  async drain(graceMs: number): Promise<void> {
    this.#admission.drain();
    const endsAtMs = monotonicNowMs() + graceMs;
    while (this.#sessions.openCount > 0 && monotonicNowMs() < endsAtMs) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    for (const session of this.#sessions.all()) {
      if (session.state === 'ended') continue;
      session.finish('shutdown');
      await session.end();
    }
  }

  /** Ends every call and every thread. Idempotent. */
  async close(): Promise<void> {
    await this.drain(0);
    clearInterval(this.#ticker);
    this.#governor.close();
    this.#metronome.close();
    await Promise.all([this.#workers.close(), this.#pool.close()]);
  }

  #created(session: Session, status: CreateAnswer['status'], client: Departure): CreateAnswer {
    session.answered(client.isGone ? 'nobody' : 'client');
    return { sessionId: session.setup.request.callId, status, nextChunkSeq: session.nextChunkSeq };
  }

  tenantOf(scope: Scope, body: Pick<CreateBody, 'tenantId'>): string {
    if (scope.tenantId !== undefined && body.tenantId !== undefined && body.tenantId !== scope.tenantId) {
      throw new CallError('forbidden', { tenantId: body.tenantId });
    }
    return scope.tenantId ?? body.tenantId ?? this.#options.defaultTenantId;
  }

  onChanged(session: Session): void {
    this.#options.onChanged?.(nameOf(session));
  }

  async mayAct(session: Session): Promise<boolean> {
    return (await this.#options.mayAct?.(nameOf(session))) ?? true;
  }

  async onConcluded(session: Session): Promise<void> {
    this.#sessions.markOver(session);
    const { summary, setup } = session;
    if (!summary) return;
    try {
      if (!(await this.mayAct(session))) return;
      await this.#options.onConcluded?.(session, summary);
    } catch (error) {
      setup.log.error({ err: error }, 'the summary of this call is lost');
    }
  }

  #tick(): void {
    const nowMs = monotonicNowMs();
    for (const session of this.#sessions.all()) {
      try {
        session.tick(nowMs);
        if (session.isForgotten(nowMs)) this.#sessions.remove(session);
      } catch (error) {
        // What goes wrong with one call ends neither the daemon nor the look at the others.
        session.setup.log.error({ err: error }, 'a call cannot be looked after');
      }
    }
  }
}

function taskOf(jobs: readonly { kind: 'up' | 'down' | 'file' }[]): string {
  const hasUp = jobs.some(({ kind }) => kind === 'up');
  const hasDown = jobs.some(({ kind }) => kind !== 'up');
  return hasUp && hasDown ? 'mixed' : hasUp ? 'up' : 'down';
}

function nameOf({ setup }: Session): CallName {
  return { tenantId: setup.tenantId, callId: setup.request.callId };
}
