import type { ConnectReport } from '../upstream/connect-record.ts';

/** Something that has a limit. Absent: there is none. */
export interface Measured {
  readonly now: number;
  readonly limit?: number;
}

/** How an agent's profile is. */
export interface AgentFact {
  readonly ref: string;
  /** Calls for it are taken. */
  readonly isUsable: boolean;
  /** Why its file, as it is now, is not used. */
  readonly problem?: string;
}

/** How the gateway does, in figures. Plain data. */
export interface StatusFacts {
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly isDraining: boolean;
  /** Why new calls are refused, where they are. */
  readonly refusal?: string | undefined;
  readonly upstream: { readonly kind: 'openai' | 'simulator'; readonly connects: ConnectReport };
  readonly store: { readonly isUp: boolean; readonly unwritten: number; readonly byteCount: number };
  readonly backend: { readonly isSet: boolean; readonly isFailing: boolean; readonly summariesPending: number };
  readonly cluster: { readonly isShared: boolean; readonly isDirectoryUp: boolean; readonly nodes: number };
  readonly load: {
    readonly sessions: Measured;
    readonly eventLoopMs: Measured;
    readonly poolQueue: Measured;
    readonly rssMb: Measured;
    readonly descriptors: Measured;
    /** Cores that the process uses. */
    readonly cpuCores: Measured;
  };
  readonly agents: readonly AgentFact[];
}

/** Something that is wrong, in words. */
export interface Problem {
  /** `critical`: calls suffer, or something is being lost. `warning`: they may soon. */
  readonly severity: 'critical' | 'warning';
  readonly code: string;
  readonly text: string;
}
