import type { CallInfo } from './call-info.ts';
import type { TranscriptLine } from './record/lines.ts';
import type { Phase } from './record/phase.ts';
import type { NumberedEvent } from './record/timeline.ts';

/** How a call stands that goes on, for whoever watches. Plain data. */
export interface LiveCall extends Omit<CallInfo, 'lastActivity'> {
  readonly sessionId: string;
  readonly callerNumber?: string;
  readonly did?: string;
  readonly phase: Phase;
  /** Times the caller was to be answered. */
  readonly turnCount: number;
  /** Of the last turn that was answered: from the end of speech to the reply's audio. */
  readonly lastTurnMs?: number;
  readonly interruptions: number;
  readonly reconnects: number;
  readonly faultCount: number;
  /** The type of the last of them. */
  readonly lastFault?: string;
}

/** How far somebody has followed a call. */
export interface CallMark {
  readonly entries: number;
  readonly lines: number;
}

/** What may change of {@link LiveCall}, and is looked at often: cheap to have. */
export interface CallGlance extends CallMark {
  readonly status: CallInfo['status'];
  readonly phase: Phase;
  readonly queuedAudioMs: number;
}

/** What has happened on a call since a mark. */
export interface CallNews {
  readonly entries: readonly NumberedEvent[];
  readonly lines: readonly TranscriptLine[];
  /** Some of it is not kept any more. */
  readonly hasGap: boolean;
  readonly mark: CallMark;
}
