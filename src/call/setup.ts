import type { Logger } from 'pino';
import type { LoadedProfile } from '../backend/profiles/agent-profiles.ts';
import type { CallValues } from '../backend/profiles/instructions.ts';
import { transcriptionOf } from '../backend/profiles/upstream-fields.ts';
import { CallCosts, type Costs } from '../costs/call-costs.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Traces } from '../traces/traces.ts';
import type { UpstreamTarget } from '../upstream/ai-conversation.ts';
import type { ReplayItem } from '../upstream/conversation.ts';
import type { HandedReply } from '../upstream/host.ts';
import type { ReconnectPolicy } from '../upstream/reconnect-policy.ts';
import type { AudioPool } from '../workers/audio/pool.ts';
import type { OpenRequest } from '../workers/session/service.ts';
import { SILENCE_MS } from '../workers/session/silence.ts';
import type { SessionWorkers } from '../workers/session/workers.ts';
import type { Metronome } from './duplex/metronome.ts';
import type { WriteRecording } from './record/call-recording.ts';
import type { Fillers } from './reply/fillers.ts';
import type { CallRequest } from './request.ts';
import type { CallLimits } from './session-clock.ts';
import { type CallFormats, conversationSettings, greetingOf, silenceBase64 } from './settings.ts';

/** What all sessions of a gateway share. */
export interface SessionDeps {
  readonly pool: AudioPool;
  readonly metronome: Metronome;
  readonly fillers: Fillers;
  /** Absent: nothing is recorded. */
  readonly writeRecording?: WriteRecording | undefined;
  readonly workers: SessionWorkers;
  readonly metrics: Metrics;
  readonly reconnect: ReconnectPolicy;
  /** Most reply audio a call may have queued; past that the reply is cancelled. */
  readonly maxOutboxMs: number;
  /** Silence after which a caller who waits for a lost answer is played the filler; absent: its default. */
  readonly fillerAfterMs?: number | undefined;
  readonly limits: CallLimits;
  /** How long an early chunk waits for the missing one. */
  readonly reorderWaitMs?: number | undefined;
  readonly defaultModel: string;
  readonly costs: Costs;
  readonly traces: Traces;
  /** Whether a session whose worker died goes on with another. */
  readonly survivesWorkerLoss: boolean;
}

/** What makes one session. */
export interface SessionSetup {
  readonly tenantId: string;
  readonly aiAgentRef: string;
  readonly request: CallRequest;
  readonly profile: LoadedProfile;
  readonly formats: CallFormats;
  readonly target: UpstreamTarget;
  readonly log: Logger;
}

/** What instructions, prompts and webhooks may name of a call. */
export function callValues({ request, tenantId, aiAgentRef }: SessionSetup): CallValues {
  const { callId, storeId, callerNumber, did } = request;
  return { callId, tenantId, aiAgentRef, storeId, callerNumber, did };
}

/** What the call costs, from its beginning. */
export function callCosts(
  setup: SessionSetup,
  { costs, metrics, defaultModel }: SessionDeps,
  startedAt: Date,
): CallCosts {
  const { tenantId, aiAgentRef, profile } = setup;
  return new CallCosts(
    {
      tenantId,
      aiAgentRef,
      model: profile.model ?? defaultModel,
      transcriptionModel: transcriptionOf(profile)?.model,
      startedAtMs: startedAt.getTime(),
    },
    costs,
    metrics,
  );
}

/** What a session worker is asked to open for a call, or to take up where another left it. */
export function openRequest(
  setup: SessionSetup,
  { defaultModel, reconnect }: SessionDeps,
  replay: readonly ReplayItem[] | undefined,
  handedReplies: readonly HandedReply[],
): Omit<OpenRequest, 'sessionKey' | 'isCutShort'> {
  const { profile, formats, target } = setup;
  const values = callValues(setup);
  return {
    target,
    settings: conversationSettings(profile, defaultModel, formats.upstreamType, values),
    policy: reconnect,
    greeting: greetingOf(profile, values),
    minInterruptionMs: profile.minInterruptionMs ?? 0,
    replay,
    handedReplies,
    silence: silenceBase64(formats.upstream, SILENCE_MS),
  };
}
