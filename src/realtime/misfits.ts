import type { ConversationHost } from '../upstream/host.ts';
import type { Misfit } from '../upstream/misfit.ts';

/** The signs that the server speaks otherwise. Whatever it is, it does it all the time: each is told once. */
export class Misfits {
  readonly #host: Pick<ConversationHost, 'event'>;
  readonly #told = new Set<Misfit['kind']>();

  constructor(host: Pick<ConversationHost, 'event'>) {
    this.#host = host;
  }

  tell(misfit: Misfit): void {
    if (this.#told.has(misfit.kind)) return;
    this.#told.add(misfit.kind);
    this.#host.event({ type: 'misfit', misfit });
  }

  has(kind: Misfit['kind']): boolean {
    return this.#told.has(kind);
  }
}
