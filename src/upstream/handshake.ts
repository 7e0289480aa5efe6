import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import type { UpstreamTarget } from './ai-conversation.ts';
import { credentialHeaders } from './credentials.ts';
import { UpstreamError } from './upstream-error.ts';

/** A refusal says why in its first lines, and with its headers. */
const MAX_REFUSAL_LENGTH = 2_000;
const REFUSAL_BODY_MS = 500;

/** The headers of a handshake, or why there are none. */
export function headersOf(target: UpstreamTarget): Record<string, string> | UpstreamError {
  const { safetyIdentifier } = target;
  try {
    const caller = safetyIdentifier === undefined ? {} : { 'openai-safety-identifier': safetyIdentifier };
    return { ...caller, ...credentialHeaders(target) };
  } catch (cause) {
    // A file that is being replaced may be whole the next time. Its path is for the log, not for those who call.
    const message = 'the credentials for the upstream cannot be read';
    return new UpstreamError('unavailable', 'credentials', message, { cause });
  }
}

/** The error of a refused handshake. The rest of the answer is not waited for longer than a moment. */
export async function refusedHandshake(response: IncomingMessage): Promise<UpstreamError> {
  let body = '';
  response.setEncoding('utf8').on('data', (text: string) => {
    body = (body + text).slice(0, MAX_REFUSAL_LENGTH);
  });
  const closed = once(response, 'close').catch(() => {});
  await Promise.race([closed, setTimeout(REFUSAL_BODY_MS, undefined, { ref: false })]);
  const { statusCode: status = 0, headers } = response;
  return UpstreamError.fromHandshake({ status, headers, body });
}
