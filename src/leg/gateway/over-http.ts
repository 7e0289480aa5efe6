import type { Logger } from 'pino';
import { type Dispatcher, EnvHttpProxyAgent } from 'undici';
import { monotonicNowMs } from '../../clock.ts';
import { LegError } from '../errors.ts';
import { HttpCall } from './http-call.ts';
import type { GatewayCall, GatewayCallListener, LegGateway, NewCall } from './leg-gateway.ts';
import { askJson, type GatewayAccess, GatewayAnswerError, spread } from './requests.ts';

export interface OverHttpOptions {
  /** Each call picks one, and moves on to the next where that fails. */
  readonly urls: readonly string[];
  /** Of calls that have none of their own. */
  readonly apiKey: string | undefined;
  /** How far a gateway is ahead of what is heard. */
  readonly leadMs: number;
  readonly log: Logger;
}

/** A gateway that cannot be connected to must not use up the time that the next one needs. */
const CONNECT_TIMEOUT_MS = 1_000;
/** A session is created when the AI is ready, which takes it a moment. */
const CREATE_TIMEOUT_MS = 8_000;
const CREATE_ATTEMPTS = 3;
/** No attempt is started later than this. */
const CREATE_GIVE_UP_MS = 10_000;
const CREATE_PAUSE_MS = 300;
/** Asking another time, or somebody else, would not help. */
const FINAL_STATUSES: ReadonlySet<number> = new Set([400, 401, 403, 404]);

/** How often gateways are asked whether they take calls, and how long they have for the answer. */
const LOOK_MS = 5_000;
const LOOK_TIMEOUT_MS = 2_000;

/** Gateways somewhere else, over HTTP and whatever proxy the environment names. */
export class OverHttpGateway implements LegGateway {
  readonly #options: OverHttpOptions;
  readonly #dispatcher: Dispatcher;
  readonly #looks: NodeJS.Timeout;
  #refusal: string | undefined = 'no gateway has been asked yet';
  #isClosed = false;

  constructor(options: OverHttpOptions) {
    this.#options = options;
    // A stream lasts as long as its call, and says itself when it has fallen silent.
    this.#dispatcher = new EnvHttpProxyAgent({
      allowH2: false,
      bodyTimeout: 0,
      headersTimeout: 0,
      connect: { timeout: CONNECT_TIMEOUT_MS },
    });
    this.#looks = setInterval(() => void this.#look(), LOOK_MS);
    void this.#look();
  }

  async open(call: NewCall, listener: GatewayCallListener, signal: AbortSignal): Promise<GatewayCall> {
    const { apiKey, leadMs, urls, log } = this.#options;
    const key = call.apiKey ?? apiKey;
    const access: GatewayAccess = {
      callId: call.callId,
      dispatcher: this.#dispatcher,
      headers: {
        ...(key === undefined ? {} : { 'x-api-key': key }),
        ...(call.tenantId === undefined ? {} : { 'x-tenant-id': call.tenantId }),
      },
    };
    const origins = spread(call.gatewayUrls.length > 0 ? call.gatewayUrls : urls, call.callId);
    const beganAtMs = monotonicNowMs();
    let cause: unknown;
    for (let attempt = 0; attempt < CREATE_ATTEMPTS; attempt++) {
      const origin = origins[attempt % origins.length]!;
      try {
        await create(access, origin, call, CREATE_TIMEOUT_MS, signal);
        const reopen = (next: string) => create(access, next, call, CREATE_TIMEOUT_MS, signal);
        return new HttpCall({ access, call, origins: rotated(origins, origin), leadMs, reopen, log }, listener);
      } catch (error) {
        cause = error;
        if (error instanceof GatewayAnswerError && FINAL_STATUSES.has(error.status)) break;
        if (signal.aborted || monotonicNowMs() - beganAtMs > CREATE_GIVE_UP_MS) break;
        if (attempt + 1 < CREATE_ATTEMPTS) await new Promise((resolve) => setTimeout(resolve, CREATE_PAUSE_MS));
      }
    }
    throw new LegError('no_session', `no session: ${(cause as Error).message}`, { cause });
  }

  get refusal(): string | undefined {
    return this.#refusal;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#looks);
    await this.#dispatcher.destroy();
  }

  /** Asks all gateways, and remembers whether one of them takes calls. */
  async #look(): Promise<void> {
    const { urls } = this.#options;
    const access: GatewayAccess = { callId: '', dispatcher: this.#dispatcher, headers: {} };
    const looks = urls.map((url) =>
      askJson(access, 'GET', `${url.replace(/\/+$/, '')}/ready`, { timeoutMs: LOOK_TIMEOUT_MS }),
    );
    try {
      await Promise.any(looks);
      this.#refusal = undefined;
    } catch (error) {
      const [first] = (error as AggregateError).errors as Error[];
      this.#refusal = `no gateway takes calls: ${first?.message}`;
    }
  }
}

/** Opens the session of a call, or finds the one that it has. */
async function create(
  access: GatewayAccess,
  origin: string,
  { callId, format, tenantId, storeId, aiAgentRef, did, callerNumber }: NewCall,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { encoding, sampleRateHz: sampleRate } = format;
  const body = { callId, encoding, sampleRate, tenantId, storeId, aiAgentRef, did, callerNumber };
  await askJson(access, 'POST', `${origin}/api/voice/session/create`, { body, timeoutMs, signal });
}

function rotated(origins: readonly string[], first: string): string[] {
  const at = origins.indexOf(first);
  return [...origins.slice(at), ...origins.slice(0, at)];
}
