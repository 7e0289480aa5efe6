import { UpstreamError } from '../upstream/upstream-error.ts';
import type { IncomingError } from './incoming.ts';

/** What an `error` event means for the call. */
export type ServerErrorVerdict = 'benign' | 'retryable' | 'fatal';

const VERDICTS_BY_CODE: Readonly<Record<string, ServerErrorVerdict>> = {
  // A cancel raced the server's own; a truncate came a moment late; both leave the conversation as it should be.
  response_cancel_not_active: 'benign',
  item_not_found: 'benign',
  item_truncate_invalid_item_id: 'benign',
  input_audio_buffer_commit_empty: 'benign',
  beta_api_shape_disabled: 'fatal',
  invalid_api_key: 'fatal',
  insufficient_quota: 'fatal',
  session_expired: 'retryable',
  rate_limit_exceeded: 'retryable',
  inference_rate_limit_exceeded: 'retryable',
  server_error: 'retryable',
  conversation_already_has_active_response: 'retryable',
};

/** What an error without a code that is known means. */
const VERDICTS_BY_TYPE: Readonly<Record<string, ServerErrorVerdict>> = {
  server_error: 'retryable',
  rate_limit_error: 'retryable',
  rate_limit_exceeded: 'retryable',
  insufficient_quota: 'fatal',
  authentication_error: 'fatal',
  permission_error: 'fatal',
};

/**
 * Sorts an `error` event by its code and its type, in every phase of a connection alike. What is in neither table is
 * benign: the server closes the socket when it means to end.
 */
export function classifyServerError({ code, type }: Pick<IncomingError, 'code' | 'type'>): ServerErrorVerdict {
  const byCode = code !== undefined && Object.hasOwn(VERDICTS_BY_CODE, code) ? VERDICTS_BY_CODE[code] : undefined;
  const byType = type !== undefined && Object.hasOwn(VERDICTS_BY_TYPE, type) ? VERDICTS_BY_TYPE[type] : undefined;
  return byCode ?? byType ?? 'benign';
}

/**
 * What an `error` event means for a session that is being configured by the event `configEventId`; undefined: nothing,
 * because it names neither that event nor a parameter of the session.
 */
export function configurationError(error: IncomingError, configEventId: string): UpstreamError | undefined {
  const { code, type, message, eventId, param } = error;
  const verdict = classifyServerError(error);
  const isAboutUs = eventId === configEventId || /^session\b/.test(param ?? '');
  if (verdict === 'benign' && !isAboutUs) return undefined;
  const isRate = /rate_limit/.test(code ?? type ?? '');
  return new UpstreamError(
    verdict !== 'retryable' ? 'refused' : isRate ? 'rate_limited' : 'unavailable',
    code ?? type ?? 'error',
    `the upstream refused the session: ${message}`,
  );
}
