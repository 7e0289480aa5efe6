import { readdirSync, readFileSync } from 'node:fs';

/** Descriptors of a call: those of its thread, where it has one of its own, its upstream socket, and its client's two. */
const DESCRIPTORS_A_CALL = { dedicated: 8, shared: 3 } as const;
const CLIENT_CONNECTIONS_A_CALL = 2;
/** Kept for the journal, agent profiles, the backend, webhooks and Redis. */
const RESERVE = 32;

export interface DescriptorsOptions {
  readonly sessionWorkers: 'dedicated' | number;
  /** Calls at the moment: one that has just begun has not opened all that it will. */
  readonly calls: () => number;
  /** Default: the limit of this process. Undefined where there is none that is known. */
  readonly limit?: number | undefined;
  /** Default: those of this process. */
  readonly countOpen?: () => number;
}

/** Says when too few file descriptors are left for another call, and how many connections clients may have. */
export class Descriptors {
  readonly #limit: number;
  readonly #perCall: number;
  readonly #calls: () => number;
  readonly #countOpen: () => number;
  #open = 0;
  #callsAtLook = 0;

  constructor(options: DescriptorsOptions) {
    const { sessionWorkers, calls, countOpen = openDescriptors } = options;
    this.#limit = ('limit' in options ? options.limit : descriptorLimit()) ?? Number.POSITIVE_INFINITY;
    this.#perCall = DESCRIPTORS_A_CALL[sessionWorkers === 'dedicated' ? 'dedicated' : 'shared'];
    this.#calls = calls;
    this.#countOpen = countOpen;
  }

  /** Counts those that are open. Nothing is counted where there is no limit. */
  look(): void {
    if (!Number.isFinite(this.#limit)) return;
    this.#callsAtLook = this.#calls();
    this.#open = Math.min(this.#countOpen(), this.#limit);
  }

  /** Those that were open when they were last counted, and how many there may be. */
  get use(): { readonly now: number; readonly limit?: number } {
    return Number.isFinite(this.#limit) ? { now: this.#open, limit: this.#limit } : { now: 0 };
  }

  /** Why there is none for another call, as a sentence for the client. */
  get shortage(): string | undefined {
    const begun = Math.max(0, this.#calls() - this.#callsAtLook);
    if (this.#open + (begun + 1) * this.#perCall <= this.#limit - RESERVE) return undefined;
    return `the gateway is overloaded: ${this.#open} of its ${this.#limit} file descriptors are in use`;
  }

  /**
   * Most connections that clients may have: their share of what is left, so that idle ones leave enough for calls.
   * Asked once the daemon has opened what it needs for itself.
   */
  maxConnections(): number {
    if (!Number.isFinite(this.#limit)) return Number.POSITIVE_INFINITY;
    const left = this.#limit - RESERVE - this.#countOpen();
    return Math.max(1, Math.floor((left * CLIENT_CONNECTIONS_A_CALL) / this.#perCall));
  }
}

/** How many descriptors this process may have open. Node has raised the soft limit to the hard one. */
export function descriptorLimit(): number | undefined {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    if (soft !== undefined) return Number(soft);
  } catch {
    // Not Linux.
  }
  // Known to Node, not to its types: without it the report looks up the names of everyone who is connected.
  Object.assign(process.report, { excludeNetwork: true });
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
  const soft = Number(userLimits?.open_files?.soft);
  return Number.isFinite(soft) ? soft : undefined;
}

/** How many are open. Where not even the list of them can be opened, all of them are. */
function openDescriptors(): number {
  for (const directory of ['/proc/self/fd', '/dev/fd']) {
    try {
      // Reading the list takes one.
      return readdirSync(directory).length - 1;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EMFILE' || code === 'ENFILE') return Number.POSITIVE_INFINITY;
    }
  }
  return 0;
}
