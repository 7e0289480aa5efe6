import type { RecordingBatch } from '../../recordings/batch.ts';
import type { CallRequest } from '../request.ts';
import type { CallFormats } from '../settings.ts';
import type { CallObserver } from './observer.ts';
import { CallRecorder } from './recorder.ts';

/** Puts recordings on the disk; absent where there is none. */
export type WriteRecording = (batch: RecordingBatch) => Promise<void>;

/** What a recording is told of its call. */
export interface RecordedCall {
  readonly id: string;
  readonly tenantId: string;
  readonly request: CallRequest;
  readonly formats: CallFormats;
  readonly createdAt: Date;
}

/** The recorder of a call whose profile asks for one. */
export function recorderOf(call: RecordedCall, write: WriteRecording, observer: CallObserver): CallRecorder {
  const { id, tenantId, request, formats, createdAt } = call;
  return new CallRecorder({
    head: {
      id,
      tenantId,
      callId: request.callId,
      callerNumber: request.callerNumber ?? null,
      startedAtMs: createdAt.getTime(),
      sampleRateHz: formats.call.sampleRateHz === 8_000 ? 8_000 : 16_000,
    },
    startedAtMs: observer.startedAtMs,
    write,
    onKept: () => observer.recordingKept(),
    onLost: (error) => observer.recordingLost(error),
  });
}
