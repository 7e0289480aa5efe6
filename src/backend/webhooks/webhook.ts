import { setTimeout as delay } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import { backoffMs } from '../../backoff.ts';
import { monotonicNowMs } from '../../clock.ts';
import { createAgent, type ExchangeAnswer, ExchangeError, exchange } from '../exchange.ts';
import type { BackendLog } from '../log.ts';
import type { WebhookTool } from '../profiles/agent-profile.ts';
import { declaredArguments } from './arguments.ts';
import { fillHeaders } from './headers.ts';
import { isAllowedHost } from './hosts.ts';
import { answerOutput, failureOutput, MAX_OUTPUT_BYTES } from './output.ts';
import { fillUrl, WebhookArgumentError, type WebhookContext } from './url.ts';

export type { WebhookContext } from './url.ts';

const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULT_RETRIES = 1;
const RETRY_BACKOFF = { baseMs: 100, maxMs: 1_000 };
const RETRYABLE_STATUSES = new Set([502, 503, 504]);

export interface WebhookOptions {
  /** The profile's `webhookHosts`. */
  readonly allowedHosts: readonly string[];
  /** Sent besides those of the tool, which come first. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Aborted when the call ends. */
  readonly signal?: AbortSignal | undefined;
  readonly log: BackendLog;
  /** Where `${WEBHOOK_…}` in headers comes from; default `process.env`. */
  readonly environment?: NodeJS.ProcessEnv;
  /** Default: connections that all webhooks share. */
  readonly dispatcher?: Dispatcher;
}

export interface WebhookResult {
  /** The service took the request: status 2xx. */
  readonly ok: boolean;
  /** What the model is told: JSON, at most 16 KiB. */
  readonly output: string;
  /** Of the last answer; absent when there was none. */
  readonly status?: number;
  readonly durationMs: number;
}

let sharedAgent: Dispatcher | undefined;

/**
 * Runs a webhook tool: fills its URL and headers, asks the service, and puts what came back into words for the model.
 * It never throws: whatever goes wrong is told to the model (`ok` false).
 *
 * GET and DELETE carry the arguments in the query, POST and PUT as JSON `{arguments, call}`; those that the tool
 * does not name are left out. The host is checked after
 * the URL was filled; redirects are not followed. `timeoutMs` (default 5000) covers everything, retries included.
 * GET, PUT and DELETE are repeated (`retries`, default 1) when the network or a gateway before the service failed;
 * POST never is. Nothing of the URL, the arguments or the headers is logged.
 */
export async function runWebhook(
  tool: WebhookTool,
  args: Readonly<Record<string, unknown>>,
  context: WebhookContext,
  options: WebhookOptions,
): Promise<WebhookResult> {
  const startedAtMs = monotonicNowMs();
  const declared = declaredArguments(tool, args);
  const outcome = await attempt(tool, declared, context, options);
  const durationMs = Math.round(monotonicNowMs() - startedAtMs);
  const fields = {
    tool: tool.name,
    callId: context.callId,
    tenantId: context.tenantId,
    status: outcome.status,
    problem: outcome.problem,
    durationMs,
    // How many; what they are called is the caller's words.
    undeclaredArguments: Object.keys(args).length - Object.keys(declared).length || undefined,
  };
  if (outcome.ok) options.log.info(fields, 'webhook answered');
  else options.log.warn(fields, 'webhook failed');
  const { ok, output, status } = outcome;
  return { ok, output, durationMs, ...(status === undefined ? {} : { status }) };
}

interface Outcome {
  readonly ok: boolean;
  readonly output: string;
  readonly status?: number;
  /** For the log: nothing of the call in it. */
  readonly problem?: string;
}

async function attempt(
  tool: WebhookTool,
  args: Readonly<Record<string, unknown>>,
  context: WebhookContext,
  options: WebhookOptions,
): Promise<Outcome> {
  const method = tool.method ?? 'POST';
  const hasBody = method === 'POST' || method === 'PUT';
  let url: URL;
  let headers: Record<string, string>;
  try {
    url = fillUrl(tool.url, args, context, !hasBody);
  } catch (error) {
    if (!(error instanceof WebhookArgumentError)) throw error;
    return { ok: false, output: failureOutput(error.message), problem: error.code };
  }
  if (!isAllowedHost(url, options.allowedHosts)) {
    return { ok: false, output: failureOutput('This tool may not call that service.'), problem: 'host_not_allowed' };
  }
  try {
    headers = { ...options.headers, ...fillHeaders(tool.headers ?? {}, context, options.environment ?? process.env) };
  } catch (error) {
    const output = failureOutput('This tool is not configured correctly.');
    return { ok: false, output, problem: (error as Error).message };
  }
  headers.accept ??= 'application/json, text/*;q=0.5';
  if (hasBody) headers['content-type'] = 'application/json';
  sharedAgent ??= createAgent();
  const timeoutMs = tool.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const { signal, dispatcher = sharedAgent } = options;
  const body = hasBody ? JSON.stringify({ arguments: args, call: context }) : undefined;
  try {
    const answer = await withRetries(
      method === 'POST' ? 0 : (tool.retries ?? DEFAULT_RETRIES),
      timeoutMs,
      signal,
      (left) =>
        exchange({ url, method, headers, body, timeoutMs: left, maxBodyBytes: MAX_OUTPUT_BYTES, dispatcher, signal }),
    );
    const { status, unreadable } = answer;
    return { ...answerOutput(answer), status, ...(unreadable === undefined ? {} : { problem: unreadable }) };
  } catch (error) {
    if (!(error instanceof ExchangeError)) throw error;
    return { ok: false, output: failureOutput(sentenceOf(error, method, timeoutMs)), problem: error.code };
  }
}

async function withRetries(
  retries: number,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  run: (leftMs: number) => Promise<ExchangeAnswer>,
): Promise<ExchangeAnswer> {
  const deadlineMs = monotonicNowMs() + timeoutMs;
  for (let failureCount = 1; ; failureCount++) {
    let failed: { answer: ExchangeAnswer } | { error: unknown };
    try {
      const answer = await run(Math.max(1, deadlineMs - monotonicNowMs()));
      if (!RETRYABLE_STATUSES.has(answer.status)) return answer;
      failed = { answer };
    } catch (error) {
      if (!(error instanceof ExchangeError) || error.kind !== 'network') throw error;
      failed = { error };
    }
    const pauseMs = backoffMs(failureCount, RETRY_BACKOFF);
    if (failureCount > retries || monotonicNowMs() + pauseMs >= deadlineMs) {
      if ('answer' in failed) return failed.answer;
      throw failed.error;
    }
    try {
      await delay(pauseMs, undefined, signal ? { signal } : {});
    } catch (cause) {
      throw new ExchangeError('aborted', 'EABORTED', { cause });
    }
  }
}

function sentenceOf(error: ExchangeError, method: string, timeoutMs: number): string {
  switch (error.kind) {
    case 'timeout': {
      const sentence = `The service did not answer within ${timeoutMs / 1_000} seconds.`;
      return method === 'GET' ? sentence : `${sentence} It may or may not have done what it was asked.`;
    }
    case 'aborted':
      return 'The call ended before the service answered.';
    case 'invalid':
      return 'This tool is not configured correctly.';
    case 'network':
      return 'The service could not be reached.';
  }
}
