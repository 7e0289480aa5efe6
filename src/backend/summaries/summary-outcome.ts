import { type ExchangeAnswer, ExchangeError, type ExchangeOptions, exchange, retryAfterMs } from '../exchange.ts';
import { type W3ApiOptions, w3Headers, w3Url } from '../w3-api.ts';
import type { CallSummary } from './call-summary.ts';

const MAX_RETRY_AFTER_MS = 3_600_000;
/** The answer's body says nothing that is acted upon; reading it leaves the connection fit for the next request. */
const MAX_BODY_BYTES = 64 * 1024;
const RETRYABLE_STATUSES = new Set([408, 425, 429]);
/** A wrong key, tenant or URL: nothing is wrong with the summary. */
const CONFIGURATION_STATUSES = new Set([401, 403, 404]);

/** What came of posting a summary. */
export type PostOutcome =
  | { readonly kind: 'delivered'; readonly status: number }
  /** `isFinal` false: the configuration is at fault, and another one may succeed. */
  | {
      readonly kind: 'refused';
      readonly status: number | undefined;
      readonly isFinal: boolean;
      readonly reason: string;
    }
  | {
      readonly kind: 'failed';
      readonly status: number | undefined;
      readonly reason: string;
      readonly retryAfterMs: number;
    }
  | { readonly kind: 'aborted' };

/** A summary on its way: its tenant goes into a header, its body is sent as it is. */
export interface OutgoingBody {
  readonly tenantId: string;
  readonly body: string;
}

/** The headers that put the request into the trace of its call. */
function traceOf({ body }: OutgoingBody): Readonly<Record<string, string>> {
  return (JSON.parse(body) as Partial<CallSummary>).trace ?? {};
}

export type PostOptions = Pick<ExchangeOptions, 'dispatcher' | 'timeoutMs' | 'signal'>;

/**
 * Posts a summary to the backend once.
 * @param idempotencyKey the same however often it is posted
 */
export async function postSummary(
  api: W3ApiOptions,
  idempotencyKey: string,
  summary: OutgoingBody,
  options: PostOptions,
): Promise<PostOutcome> {
  try {
    const answer = await exchange({
      ...options,
      url: w3Url(api, '/api/voip/ai-sessions'),
      method: 'POST',
      headers: {
        ...w3Headers(api, summary.tenantId),
        'content-type': 'application/json',
        'idempotency-key': idempotencyKey,
        ...traceOf(summary),
      },
      body: summary.body,
      maxBodyBytes: MAX_BODY_BYTES,
    });
    return judge(answer);
  } catch (error) {
    if (!(error instanceof ExchangeError)) throw error;
    const { kind, code: reason } = error;
    if (kind === 'aborted') return { kind: 'aborted' };
    if (kind === 'invalid') return { kind: 'refused', status: undefined, isFinal: true, reason };
    return { kind: 'failed', status: undefined, reason, retryAfterMs: 0 };
  }
}

function judge(answer: ExchangeAnswer): PostOutcome {
  const { status } = answer;
  // 409: the backend has it already.
  if ((status >= 200 && status < 300) || status === 409) return { kind: 'delivered', status };
  const reason = `status ${status}`;
  if (status >= 500 || RETRYABLE_STATUSES.has(status)) {
    return { kind: 'failed', status, reason, retryAfterMs: retryAfterMs(answer, MAX_RETRY_AFTER_MS) ?? 0 };
  }
  const isFinal = status >= 400 && !CONFIGURATION_STATUSES.has(status);
  return { kind: 'refused', status, isFinal, reason };
}
