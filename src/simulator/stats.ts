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

  /** @param errorCode of an `error` event: its code or null; undefined for other events */
  sent(errorCode: string | null | undefined): void {
    this.#stats.eventsOut += 1;
    if (errorCode === undefined) return;
    const code = errorCode ?? 'none';
    this.#stats.errors[code] = (this.#stats.errors[code] ?? 0) + 1;
  }
}
