import { availableParallelism } from 'node:os';
import { monotonicNowMs } from '../clock.ts';
import type { ConnectReport } from '../upstream/connect-record.ts';
import type { AgentFact, Measured, Problem, StatusFacts } from './facts.ts';
import { problemsOf } from './problems.ts';

/** Where the figures come from. */
export interface StatusSources {
  readonly gateway: {
    readonly connects: ConnectReport;
    health(): {
      readonly version: string;
      readonly uptimeSeconds: number;
      readonly status: 'ok' | 'draining';
      readonly upstream: 'openai' | 'simulator';
      readonly sessions: number;
    };
    readiness(): { readonly ready: boolean; readonly reason?: string | undefined };
  };
  readonly maxSessions: number;
  readonly guard: { readonly load: Pick<StatusFacts['load'], 'eventLoopMs' | 'poolQueue' | 'rssMb'> };
  readonly descriptors: { readonly use: Measured };
  readonly store: { readonly state: StatusFacts['store'] };
  readonly summaries: { readonly pending: number; readonly isFailing: boolean };
  readonly profiles: { readonly isBackendFailing: boolean; readonly agents: readonly AgentFact[] };
  readonly hasBackend: boolean;
  readonly cluster: { readonly state: StatusFacts['cluster'] };
}

/** Tells how the gateway does, in figures and in words. */
export class GatewayStatus {
  readonly #sources: StatusSources;
  #cpu = process.cpuUsage();
  #cpuAtMs = monotonicNowMs();
  #cpuCores = 0;

  constructor(sources: StatusSources) {
    this.#sources = sources;
  }

  read(): StatusFacts & { readonly problems: readonly Problem[] } {
    const { gateway, guard, descriptors, store, summaries, profiles, hasBackend, cluster, maxSessions } = this.#sources;
    const { version, uptimeSeconds, status, upstream, sessions } = gateway.health();
    const { reason } = gateway.readiness();
    const isDraining = status === 'draining';
    const facts: StatusFacts = {
      version,
      uptimeSeconds,
      isDraining,
      ...(reason === undefined || isDraining ? {} : { refusal: reason }),
      upstream: { kind: upstream, connects: gateway.connects },
      store: store.state,
      backend: {
        isSet: hasBackend,
        isFailing: hasBackend && (profiles.isBackendFailing || summaries.isFailing),
        summariesPending: summaries.pending,
      },
      cluster: cluster.state,
      load: {
        sessions: { now: sessions, limit: maxSessions },
        ...guard.load,
        descriptors: descriptors.use,
        cpuCores: { now: this.#cores(), limit: availableParallelism() },
      },
      agents: profiles.agents,
    };
    return { problems: problemsOf(facts), ...facts };
  }

  /** Cores in use since they were last looked at, which is a second ago at least. */
  #cores(): number {
    const nowMs = monotonicNowMs();
    if (nowMs - this.#cpuAtMs < 1_000) return this.#cpuCores;
    const { user, system } = process.cpuUsage(this.#cpu);
    this.#cpuCores = Math.round((user + system) / 10 / (nowMs - this.#cpuAtMs)) / 100;
    this.#cpu = process.cpuUsage();
    this.#cpuAtMs = nowMs;
    return this.#cpuCores;
  }
}
