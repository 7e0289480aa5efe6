import type { ResponseSilences } from './running-responses.ts';

/** How long is waited for what until a response is there, and until it is over. Milliseconds. */
export interface ResponseTimes extends ResponseSilences {
  /** For a request to be taken up: for the response to begin, not for its audio. */
  readonly takeUpMs: number;
  /** For the server's own response to a turn, before the gateway asks for one. */
  readonly serverMs: number;
  /** Before a request is made again that was refused because of a response we have not heard of. */
  readonly conflictMs: number;
  /** Before a request is made again that was refused, or whose response came to nothing. */
  readonly retryMs: number;
  /** For the caller to stop speaking: a server that never says so is not waited for. */
  readonly speechMs: number;
}

/**
 * A response begins within a fraction of a second of its request, its audio within 5 s at the worst that was measured,
 * and pieces of it follow each other faster than they play. Together these answer a turn, or end the call, within 10 s.
 */
export const RESPONSE_TIMES: ResponseTimes = {
  takeUpMs: 2_500,
  serverMs: 2_000,
  conflictMs: 500,
  retryMs: 750,
  thinkingMs: 8_000,
  silenceMs: 5_000,
  lastWordMs: 2_000,
  speechMs: 60_000,
};
