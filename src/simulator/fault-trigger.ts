import type { FaultMoment, Faults } from './faults.ts';

/** What a connection can do to itself. */
export interface Breakable {
  /** Destroys the socket, or closes it with a code. */
  drop(closeCode?: number): void;
  stall(): void;
  /** Runs `task` after `delayMs`, unless the connection has ended by then. */
  after(delayMs: number, task: () => void): void;
}

/** Watches for the moments at which a connection is to be dropped or stalled. Each happens once. */
export class FaultTrigger {
  readonly #connection: Breakable;
  #faults: Faults = {};
  #isDropDone = false;
  #isStallDone = false;

  constructor(connection: Breakable) {
    this.#connection = connection;
  }

  configure(faults: Faults): void {
    this.#faults = faults;
    this.#isDropDone = false;
    this.#isStallDone = false;
  }

  /** Audio of a reply was sent, `replyMs` of it so far. */
  replySent(replyMs: number): void {
    this.#check('reply', replyMs);
  }

  /** The caller has been speaking for `speechMs`. */
  speechHeard(speechMs: number): void {
    this.#check('utterance', speechMs);
  }

  /** A moment from which wall time counts. */
  reached(moment: 'tool' | 'connected'): void {
    const { drop, stall } = this.#faults;
    const wait = (fault: { at: FaultMoment; afterMs?: number } | undefined) => {
      if (fault?.at !== moment) return;
      const { afterMs = 0 } = fault;
      if (afterMs === 0) this.#check(moment, 0);
      else this.#connection.after(afterMs, () => this.#check(moment, afterMs));
    };
    wait(drop);
    wait(stall);
  }

  #check(moment: FaultMoment, elapsedMs: number): void {
    const { drop, stall } = this.#faults;
    const isDue = (fault: { at: FaultMoment; afterMs?: number } | undefined) =>
      fault?.at === moment && elapsedMs >= (fault.afterMs ?? 0);
    if (!this.#isStallDone && isDue(stall)) {
      this.#isStallDone = true;
      this.#connection.stall();
    }
    if (!this.#isDropDone && isDue(drop)) {
      this.#isDropDone = true;
      this.#connection.drop(drop?.closeCode);
    }
  }
}
