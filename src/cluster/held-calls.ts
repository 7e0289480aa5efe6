import type { CallName } from './directory.ts';

/** What a node holds of one call. */
export interface HeldCall {
  readonly name: CallName;
  /** Under which the call is this node's; 0: it began while the directory was away. */
  epoch: number;
}

/** The calls that one node holds, with the epochs under which it does. */
export class HeldCalls {
  readonly #calls = new Map<string, HeldCall>();

  get(name: CallName): HeldCall | undefined {
    return this.#calls.get(keyOf(name));
  }

  set(name: CallName, epoch: number): HeldCall {
    const held = { name: { tenantId: name.tenantId, callId: name.callId }, epoch };
    this.#calls.set(keyOf(name), held);
    return held;
  }

  /** Forgets the call, unless it is held anew by now. */
  delete(held: HeldCall): void {
    const key = keyOf(held.name);
    if (this.#calls.get(key) === held) this.#calls.delete(key);
  }

  all(): HeldCall[] {
    return [...this.#calls.values()];
  }
}

export function keyOf({ tenantId, callId }: CallName): string {
  return `${tenantId}/${callId}`;
}
