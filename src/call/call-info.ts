import type { EndReason } from './end-reason.ts';
import type { CallReport } from './record/observer.ts';

/** `creating`: no upstream yet. `ending`: over, what is queued is still delivered. `ended`: only the summary is left. */
export const SESSION_STATES = ['creating', 'active', 'ending', 'ended'] as const;

export type SessionState = (typeof SESSION_STATES)[number];

/** Which call it is, and how it stands. */
interface CallIdentity {
  readonly callId: string;
  readonly tenantId: string;
  readonly aiAgentRef: string;
  readonly encoding: string;
  readonly sampleRate: number;
  readonly status: SessionState;
  /** ISO 8601, as all times here. */
  readonly createdAt: string;
  readonly endReason?: EndReason;
}

/** How a call stands. Plain data. */
export interface CallInfo extends CallIdentity {
  /** When its client last asked for anything. */
  readonly lastActivity: string;
  readonly transcriptCount: number;
  readonly actionsCount: number;
  readonly generation: number;
  readonly queuedAudioMs: number;
}

/** What happened on a call so far; nothing personal is in it. Plain data. */
export interface CallEvents extends CallIdentity, CallReport {
  readonly sessionId: string;
}
