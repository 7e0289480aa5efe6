import { randomUUID } from 'node:crypto';
import type { AudioReceiver, DownStream } from '../../call/duplex/down-stream.ts';
import type { AudioSender, UpStream } from '../../call/duplex/up-stream.ts';
import { CallError } from '../../call/errors.ts';
import type { Departure } from '../../call/reply/poll-wait.ts';
import { monotonicNowMs } from '../../clock.ts';
import { pollAnswer } from '../../http/delivery-answer.ts';
import { sentenceOf } from '../../http/errors.ts';
import type { CallGateway, CallSession, Scope } from '../../http/gateway.ts';
import { LegError } from '../errors.ts';
import {
  endIn,
  type GatewayCall,
  type GatewayCallListener,
  type LegGateway,
  type NewCall,
  type SessionEnd,
} from './leg-gateway.ts';

/** One frame on its way, and one in reserve: nothing lies between the call and its leg. */
const LEAD_MS = 40;
const FRAME_MS = 20;
/** How long a session that has said everything may take to tell how it ended. */
const VERDICT_MS = 3_000;

/** The gateway of this process. */
export class InProcessGateway implements LegGateway {
  readonly #gateway: CallGateway;
  readonly #scopeOf: (apiKey: string | undefined) => Scope;

  /** @param scopeOf whose calls are made with a key; throws where it is not known */
  constructor(gateway: CallGateway, scopeOf: (apiKey: string | undefined) => Scope) {
    this.#gateway = gateway;
    this.#scopeOf = scopeOf;
  }

  async open(call: NewCall, listener: GatewayCallListener, signal: AbortSignal): Promise<GatewayCall> {
    const { callId, format, tenantId, storeId, aiAgentRef, did, callerNumber } = call;
    const client = new Caller();
    const onAbort = () => client.go();
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const scope = this.#scopeOf(call.apiKey);
      const body = {
        callId,
        encoding: format.encoding,
        sampleRate: format.sampleRateHz,
        ...(tenantId === undefined ? {} : { tenantId }),
        ...(storeId === undefined ? {} : { storeId }),
        ...(aiAgentRef === undefined ? {} : { aiAgentRef }),
        ...(did === undefined ? {} : { did }),
        ...(callerNumber === undefined ? {} : { callerNumber }),
      };
      await this.#gateway.createSession(scope, body, randomUUID(), client);
      const session = this.#gateway.findSession({ tenantId: this.#gateway.tenantOf(scope, body) }, callId);
      return new InProcessCall(session, call, listener);
    } catch (cause) {
      throw new LegError('no_session', `no session: ${whyOf(cause)}`, { cause });
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  get refusal(): string | undefined {
    const { ready, reason } = this.#gateway.readiness();
    return ready ? undefined : (reason ?? 'not ready');
  }

  async close(): Promise<void> {}
}

/** The caller, as a call sees who waits for its answers. */
class Caller implements Departure {
  isGone = false;
  #onGone: (() => void) | undefined;

  watch(onGone: (() => void) | undefined): void {
    this.#onGone = onGone;
  }

  go(): void {
    this.isGone = true;
    this.#onGone?.();
  }
}

/** A call of this process: its leg is its client, and no network lies between them. */
class InProcessCall implements GatewayCall {
  readonly leadMs = LEAD_MS;
  readonly #session: CallSession;
  readonly #call: NewCall;
  readonly #listener: GatewayCallListener;
  readonly #client = new Caller();
  readonly #receiver: AudioReceiver;
  readonly #sender: AudioSender;
  #up: UpStream | undefined;
  #down: DownStream | undefined;
  #isHeldBack = false;
  #isOver = false;
  #ended: Promise<void> | undefined;

  constructor(session: CallSession, call: NewCall, listener: GatewayCallListener) {
    this.#session = session;
    this.#call = call;
    this.#listener = listener;
    const replaced = () => this.#finish({ kind: 'lost', why: 'another client has taken the audio of this call over' });
    this.#receiver = {
      isFull: false,
      write: (bytes) => listener.onAudio(bytes),
      end: (why) => {
        if (why === 'over') void this.#settle();
        else replaced();
      },
      giveUp: replaced,
    };
    this.#sender = {
      // Packets cannot be held back: what the call does not take is lost.
      pause: () => {
        this.#isHeldBack = true;
      },
      resume: () => {
        this.#isHeldBack = false;
      },
      cutOff: () => this.#finish({ kind: 'lost', why: 'the switch sends faster than anybody speaks' }),
      replaced,
    };
  }

  send(audio: Uint8Array): void {
    if (!this.#isHeldBack) this.#up?.receive(audio);
  }

  press(digits: string): void {
    // A call that is over has nobody to hear them.
    this.#session.stream({ dtmf: digits, receivedAtMs: 0 }).catch(() => {});
  }

  hold(): void {
    this.#detach();
  }

  resume(): void {
    if (this.#isOver || this.#up) return;
    try {
      this.#attach();
    } catch {
      // It ended while the caller was away.
      void this.#settle();
    }
  }

  end(): Promise<void> {
    this.#isOver = true;
    this.#client.go();
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    this.#detach();
    await this.#session.end().catch(() => {});
  }

  #attach(): void {
    const { format, tickMs } = this.#call;
    this.#isHeldBack = false;
    this.#up = this.#session.openUp({ format, bigEndian: false, tickMs }, this.#sender);
    this.#down = this.#session.openDown({ format, leadMs: LEAD_MS, frameMs: FRAME_MS }, this.#receiver);
  }

  #detach(): void {
    const streams = [this.#up, this.#down];
    this.#up = undefined;
    this.#down = undefined;
    for (const stream of streams) if (stream) this.#session.left(stream);
  }

  #finish(end: SessionEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#listener.onEnd(end);
  }

  /** Asks what is to become of the call, once everything has been said. */
  async #settle(): Promise<void> {
    if (this.#down) this.#session.left(this.#down);
    this.#down = undefined;
    const endsAtMs = monotonicNowMs() + VERDICT_MS;
    try {
      while (!this.#isOver && monotonicNowMs() < endsAtMs) {
        const delivery = await this.#session.poll({}, endsAtMs - monotonicNowMs(), this.#client);
        const end = endIn(pollAnswer(delivery, { hasWords: false }));
        if (this.#isOver) delivery.aborted();
        else delivery.written();
        if (end) return this.#finish(end);
      }
    } catch (error) {
      return this.#finish({ kind: 'lost', why: whyOf(error) });
    }
    this.#finish({ kind: 'lost', why: 'the session does not tell how it ended' });
  }
}

/** What a client is told of it. */
function whyOf(error: unknown): string {
  return error instanceof CallError ? sentenceOf(error) : (error as Error).message;
}
