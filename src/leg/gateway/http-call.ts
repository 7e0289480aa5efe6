import { PassThrough } from 'node:stream';
import type { Logger } from 'pino';
import { request } from 'undici';
import { bytesPerMs, silenceByte } from '../../audio/codec.ts';
import { monotonicNowMs } from '../../clock.ts';
import { mediaTypeOf } from '../../http/audio-exchange.ts';
import { defaultFrameMs } from '../../http/duplex-schemas.ts';
import {
  endIn,
  type GatewayCall,
  type GatewayCallListener,
  type NewCall,
  type SessionEnd,
  type VerdictAnswer,
} from './leg-gateway.ts';
import { askJson, type GatewayAccess, GatewayAnswerError, sentenceOf } from './requests.ts';

export interface HttpCallOptions {
  readonly access: GatewayAccess;
  readonly call: NewCall;
  /** Where the session is, and where it may be opened anew, in order. */
  readonly origins: readonly string[];
  readonly leadMs: number;
  /** Opens the session at another gateway, or finds it there. */
  readonly reopen: (origin: string) => Promise<void>;
  readonly log: Logger;
}

/** The head of an answer comes at once. */
const HEAD_MS = 1_000;
/** The answer is audio without a pause: one that has been silent for so long is dead. */
const SILENT_MS = 1_200;
/** Without audio for this long the call is given up. A caller waits 3 s at most, with what is left of the last words. */
const GIVE_UP_MS = 2_300;
const RETRY_PAUSE_MS = 150;
/** What the caller says while there is no connection, or the network holds it back. Older audio is of no use to anybody. */
const MAX_WAITING_MS = 1_000;
/** How long a session that has said everything may take to tell how it ended. */
const VERDICT_MS = 3_000;
const REQUEST_MS = 2_000;
const END_ATTEMPTS = 3;

/** One connection of a call: both directions in one request. */
interface Stream {
  readonly body: PassThrough;
  readonly abort: AbortController;
}

/** A call whose gateway is somewhere else: one streamed request, and another where that breaks. */
export class HttpCall implements GatewayCall {
  readonly leadMs: number;
  readonly #options: HttpCallOptions;
  readonly #listener: GatewayCallListener;
  readonly #msBytes: number;
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #at = 0;
  #stream: Stream | undefined;
  #isOnHold = true;
  #isOver = false;
  #lastHeardMs = 0;
  /** When the agent was heard last, while nothing is; undefined: all is well. */
  #failingSinceMs: number | undefined;
  #ended: Promise<void> | undefined;

  constructor(options: HttpCallOptions, listener: GatewayCallListener) {
    this.#options = options;
    this.#listener = listener;
    this.leadMs = options.leadMs;
    this.#msBytes = bytesPerMs(options.call.format);
  }

  send(audio: Uint8Array): void {
    if (this.#isOver || this.#isOnHold) return;
    this.#waiting.push(audio);
    this.#waitingBytes += audio.length;
    const stream = this.#stream;
    // The caller's packets never pause, so they are the clock by which a dead connection is found.
    if (stream && monotonicNowMs() - this.#lastHeardMs > SILENT_MS)
      stream.abort.abort(new Error('it has fallen silent'));
    const maxBytes = MAX_WAITING_MS * this.#msBytes;
    if (stream && stream.body.writableLength < maxBytes) {
      if (this.#waitingBytes >= this.#options.call.tickMs * this.#msBytes) this.#pass(stream);
      return;
    }
    while (this.#waitingBytes > maxBytes) this.#waitingBytes -= this.#waiting.shift()!.length;
  }

  press(digits: string): void {
    const { access } = this.#options;
    askJson(access, 'POST', this.#url(`stream/${access.callId}`), {
      body: { dtmf: digits },
      timeoutMs: REQUEST_MS,
    }).catch((err) =>
      this.#options.log.warn({ err, callId: access.callId }, 'keys of the caller did not reach the gateway'),
    );
  }

  hold(): void {
    this.#isOnHold = true;
    this.#stream?.abort.abort(new Error('the call is on hold'));
  }

  resume(): void {
    if (!this.#isOnHold || this.#isOver) return;
    this.#isOnHold = false;
    this.#failingSinceMs = undefined;
    this.#lastHeardMs = monotonicNowMs();
    this.#forget();
    void this.#converse();
  }

  end(): Promise<void> {
    this.#isOver = true;
    this.#stream?.abort.abort(new Error('the call is over'));
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    const { access, log } = this.#options;
    for (let attempt = 1; attempt <= END_ATTEMPTS; attempt++) {
      try {
        await askJson(access, 'POST', this.#url(`session/${access.callId}/end`), { body: {}, timeoutMs: REQUEST_MS });
        return;
      } catch (err) {
        if (err instanceof GatewayAnswerError && err.status === 404) return;
        if (attempt === END_ATTEMPTS)
          log.warn({ err, callId: access.callId }, 'the end of a call did not reach the gateway');
        else await pause(RETRY_PAUSE_MS);
      }
    }
  }

  // The connection

  /** Streams until the session is over, from one connection to the next. */
  async #converse(): Promise<void> {
    while (!this.#isOver && !this.#isOnHold) {
      try {
        await this.#streamOnce();
        if (this.#isOver || this.#isOnHold) return;
        this.#finish(await this.#verdict());
      } catch (error) {
        if (this.#isOver || this.#isOnHold) return;
        await this.#recover(error as Error);
      }
    }
  }

  /** One connection, to the end of its answer. */
  async #streamOnce(): Promise<void> {
    const { access, call, leadMs } = this.#options;
    const { format, tickMs } = call;
    const stream: Stream = { body: new PassThrough(), abort: new AbortController() };
    stream.body.on('error', () => {});
    // The request goes out with the first of its body.
    stream.body.write(new Uint8Array(tickMs * this.#msBytes).fill(silenceByte(format.encoding)));
    const failingMs = this.#failingSinceMs === undefined ? 0 : monotonicNowMs() - this.#failingSinceMs;
    const headMs = Math.min(HEAD_MS, Math.max(RETRY_PAUSE_MS, GIVE_UP_MS - failingMs));
    const headTimer = setTimeout(() => stream.abort.abort(new Error('it does not answer')), headMs);
    const query = `lead=${leadMs}&frame=${defaultFrameMs(leadMs)}&tick=${tickMs}`;
    try {
      const { statusCode, body } = await request(this.#url(`stream/${access.callId}/duplex?${query}`), {
        method: 'POST',
        headers: { ...access.headers, 'content-type': mediaTypeOf(format) },
        body: stream.body,
        dispatcher: access.dispatcher,
        signal: stream.abort.signal,
      });
      if (statusCode !== 200) throw new GatewayAnswerError(statusCode, sentenceOf(await body.text()));
      clearTimeout(headTimer);
      this.#stream = stream;
      this.#lastHeardMs = monotonicNowMs();
      for await (const chunk of body as AsyncIterable<Buffer>) {
        this.#failingSinceMs = undefined;
        this.#lastHeardMs = monotonicNowMs();
        this.#listener.onAudio(chunk);
      }
    } catch (error) {
      throw stream.abort.signal.aborted ? stream.abort.signal.reason : error;
    } finally {
      clearTimeout(headTimer);
      this.#stream = undefined;
      stream.body.destroy();
    }
  }

  /** What is to become of the call, once everything has been said. */
  async #verdict(): Promise<SessionEnd> {
    const { access } = this.#options;
    const endsAtMs = monotonicNowMs() + VERDICT_MS;
    while (monotonicNowMs() < endsAtMs && !this.#isOver) {
      const url = this.#url(`stream/${access.callId}/response?timeout=1000`);
      const answer = (await askJson(access, 'GET', url, { timeoutMs: REQUEST_MS })) as VerdictAnswer;
      const end = endIn(answer);
      if (end) return end;
    }
    // The answer ended without a reason: a proxy's, perhaps.
    throw new Error('its answer ended');
  }

  /** Waits before the next attempt, moves on to the next gateway, or gives the call up. */
  async #recover(error: Error): Promise<void> {
    const { access, origins, reopen, log } = this.#options;
    const nowMs = monotonicNowMs();
    const isFirst = this.#failingSinceMs === undefined;
    this.#failingSinceMs ??= this.#lastHeardMs;
    const status = error instanceof GatewayAnswerError ? error.status : undefined;
    if (isFirst) log.warn({ callId: access.callId, reason: error.message }, 'the connection to the gateway is lost');
    if (status === 401 || status === 403) return this.#finish({ kind: 'lost', why: error.message });
    if (status === 404 && origins.length === 1) {
      return this.#finish({ kind: 'lost', why: 'the gateway does not know the call' });
    }
    if (nowMs - this.#failingSinceMs > GIVE_UP_MS) {
      return this.#finish({ kind: 'lost', why: `the gateway does not answer: ${error.message}` });
    }
    await pause(RETRY_PAUSE_MS);
    // The one that has the call is asked twice: a connection may break that nobody is to blame for.
    if (origins.length === 1 || (isFirst && status !== 404)) return;
    this.#at = (this.#at + 1) % origins.length;
    try {
      await reopen(origins[this.#at]!);
      log.warn({ callId: access.callId, gateway: origins[this.#at] }, 'the call goes on with another gateway');
    } catch {
      // The stream that is tried next fails too, and so does the call if nobody else has it.
    }
  }

  #finish(end: SessionEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#listener.onEnd(end);
  }

  // The caller's audio

  #pass(stream: Stream): void {
    const [first] = this.#waiting;
    stream.body.write(this.#waiting.length === 1 ? first : Buffer.concat(this.#waiting));
    this.#forget();
  }

  #forget(): void {
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }

  #url(path: string): string {
    return `${this.#options.origins[this.#at]}/api/voice/${path}`;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
