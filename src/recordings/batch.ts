import type { AudioFormat } from '../audio/codec.ts';

/** Rates at which calls are recorded: that of the telephone, or twice that. */
export type RecordingRateHz = 8_000 | 16_000;

/** What is known of a recording from its beginning on. */
export interface RecordingHead {
  /** The session's: unique among all calls ever. */
  readonly id: string;
  readonly tenantId: string;
  readonly callId: string;
  readonly callerNumber: string | null;
  /** When the call began, in milliseconds since the epoch. */
  readonly startedAtMs: number;
  readonly sampleRateHz: RecordingRateHz;
}

/** A piece of what was said or heard. Times in milliseconds since the call began. */
export interface RecordedPiece {
  readonly side: 'caller' | 'agent';
  readonly startMs: number;
  readonly base64: string;
  readonly format: AudioFormat;
  /** Where in its audio it begins and ends; absent: all of it. */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
}

/** What has gathered of one recording. */
export interface RecordingBatch {
  readonly head: RecordingHead;
  /** The recording begins with it. */
  readonly isFirst: boolean;
  readonly pieces: readonly RecordedPiece[];
  /** Nothing follows that begins before this. */
  readonly untilMs: number;
  /** The call is over: the recording ends at `untilMs`. */
  readonly isLast: boolean;
}
