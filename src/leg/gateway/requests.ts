import type { Dispatcher } from 'undici';
import { exchange } from '../../backend/exchange.ts';
import { oneLine } from '../event-socket/message.ts';

/** How to speak to gateways on behalf of one call. */
export interface GatewayAccess {
  readonly callId: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly dispatcher: Dispatcher;
}

/** A gateway said no. */
export class GatewayAnswerError extends Error {
  readonly status: number;

  constructor(status: number, sentence: string) {
    super(`${status} ${sentence}`.trim());
    this.name = 'GatewayAnswerError';
    this.status = status;
  }
}

/** Answers of these routes have transcripts and summaries in them, and no audio. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/**
 * A request with JSON both ways.
 * @throws {GatewayAnswerError} where the answer is no 200
 * @throws {ExchangeError} where there is none
 */
export async function askJson(
  { headers, dispatcher }: GatewayAccess,
  method: 'GET' | 'POST',
  url: string,
  { body, timeoutMs, signal }: { body?: unknown; timeoutMs: number; signal?: AbortSignal },
): Promise<unknown> {
  const { status, text } = await exchange({
    url,
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    body: body === undefined ? undefined : JSON.stringify(body),
    timeoutMs,
    maxBodyBytes: MAX_ANSWER_BYTES,
    dispatcher,
    signal,
  });
  if (status !== 200) throw new GatewayAnswerError(status, sentenceOf(text));
  return JSON.parse(text);
}

/** What an error answer says, as far as it is one of a gateway. */
export function sentenceOf(text: string): string {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    return typeof error === 'string' ? oneLine(error).slice(0, 200) : '';
  } catch {
    return '';
  }
}

/** The addresses of `urls`, in an order that spreads calls over them, and is the same for a call every time. */
export function spread(urls: readonly string[], callId: string): string[] {
  let start = 0;
  for (const char of callId) start = (start * 31 + char.charCodeAt(0)) % 1_000_003;
  return urls.map((_, index) => urls[(start + index) % urls.length]!.replace(/\/+$/, ''));
}
