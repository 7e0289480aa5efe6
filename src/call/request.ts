import type { Encoding } from '../audio/codec.ts';
import type { SampleRateHz } from '../audio/sample-rates.ts';

/** What is asked for with a new call. */
export interface CallRequest {
  readonly callId: string;
  readonly tenantId?: string;
  readonly storeId?: string;
  /** The number that was called. */
  readonly did?: string;
  readonly callerNumber?: string;
  readonly aiAgentRef?: string;
  readonly encoding?: Encoding;
  readonly sampleRate?: SampleRateHz;
  /** W3C Trace Context of whoever asks. */
  readonly traceparent?: string;
  readonly tracestate?: string;
}
