import type { CreateBody } from '../../http/schemas.ts';
import type { RecordingBatch } from '../../recordings/batch.ts';
import type { CallFormats } from '../settings.ts';
import type { CallObserver } from './observer.ts';
import { CallRecorder } from './recorder.ts';

/** Puts recordings on the disk; absent where there is none. */
export type WriteRecording = (batch: RecordingBatch) => Promise<void>;

/** What a recording is told of its call. */
export interface RecordedCall {
  readonly id: string;
  readonly tenantId: string;
  readonly body: CreateBody;
  readonly formats: CallFormats;
  readonly createdAt: Date;
  readonly createdAtMs: number;
}

/** The recorder of a call whose profile asks for one. */
export function recorderOf(call: RecordedCall, write: WriteRecording, observer: CallObserver): CallRecorder {
  const { id, tenantId, body, formats, createdAt, createdAtMs } = call;
  return new CallRecorder({
    head: {
      id,
      tenantId,
      callId: body.callId,
      callerNumber: body.callerNumber ?? null,
      startedAtMs: createdAt.getTime(),
      sampleRateHz: formats.call.sampleRateHz === 8_000 ? 8_000 : 16_000,
    },
    startedAtMs: createdAtMs,
    write,
    onKept: () => observer.recordingKept(),
    onLost: (error) => observer.recordingLost(error),
  });
}
