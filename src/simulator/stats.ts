/** What a simulator has billed for one model: the sums of what its events said. Cached tokens are part of the input. */
export interface SimulatorBill {
  /** Responses and transcriptions. */
  count: number;
  inputText: number;
  inputAudio: number;
  cachedText: number;
  cachedAudio: number;
  outputText: number;
  outputAudio: number;
  /** Of audio, where a model is billed by it. */
  seconds: number;
}

const NO_BILL: SimulatorBill = {
  count: 0,
  inputText: 0,
  inputAudio: 0,
  cachedText: 0,
  cachedAudio: 0,
  outputText: 0,
  outputAudio: 0,
  seconds: 0,
};

/** The `usage` of an event, as far as it is counted. */
interface BilledUsage {
  readonly input_token_details?: {
    readonly text_tokens?: number;
    readonly audio_tokens?: number;
    readonly cached_tokens_details?: { readonly text_tokens?: number; readonly audio_tokens?: number };
  };
  readonly output_token_details?: { readonly text_tokens?: number; readonly audio_tokens?: number };
  readonly output_tokens?: number;
  readonly seconds?: number;
}

/** What a simulator has done since it started. */
export interface SimulatorStats {
  connectionsOpen: number;
  connectionsTotal: number;
  /** Upgrades refused, by HTTP status. */
  handshakesRefused: Record<string, number>;
  eventsIn: number;
  eventsOut: number;
  /** `error` events sent, by code (`none` without one). */
  errors: Record<string, number>;
  /** What it told its clients they are billed, by model. */
  bills: Record<string, SimulatorBill>;
}

/** Counts. */
export class StatsKeeper {
  readonly #stats: SimulatorStats = {
    connectionsOpen: 0,
    connectionsTotal: 0,
    handshakesRefused: {},
    eventsIn: 0,
    eventsOut: 0,
    errors: {},
    bills: {},
  };

  /** The counts so far, as a copy. */
  get snapshot(): SimulatorStats {
    return structuredClone(this.#stats);
  }

  opened(): void {
    this.#stats.connectionsOpen += 1;
    this.#stats.connectionsTotal += 1;
  }

  closed(): void {
    this.#stats.connectionsOpen -= 1;
  }

  refused(status: number): void {
    this.#stats.handshakesRefused[status] = (this.#stats.handshakesRefused[status] ?? 0) + 1;
  }

  received(): void {
    this.#stats.eventsIn += 1;
  }

  billed(model: string, { input_token_details: input, output_token_details: output, ...usage }: BilledUsage): void {
    this.#stats.bills[model] ??= { ...NO_BILL };
    const bill = this.#stats.bills[model];
    bill.count += 1;
    bill.inputText += input?.text_tokens ?? 0;
    bill.inputAudio += input?.audio_tokens ?? 0;
    bill.cachedText += input?.cached_tokens_details?.text_tokens ?? 0;
    bill.cachedAudio += input?.cached_tokens_details?.audio_tokens ?? 0;
    // A transcription has no details of its output, which is text.
    bill.outputText += output ? (output.text_tokens ?? 0) : (usage.output_tokens ?? 0);
    bill.outputAudio += output?.audio_tokens ?? 0;
    bill.seconds += usage.seconds ?? 0;
  }

  /** @param errorCode of an `error` event: its code or null; undefined for other events */
  sent(errorCode: string | null | undefined): void {
    this.#stats.eventsOut += 1;
    if (errorCode === undefined) return;
    const code = errorCode ?? 'none';
    this.#stats.errors[code] = (this.#stats.errors[code] ?? 0) + 1;
  }
}
