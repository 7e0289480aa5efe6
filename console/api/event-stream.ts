import { signal } from '@preact/signals';

/** `waiting`: the browser tries again by itself. `refused`: it does not. */
export type StreamState = 'connecting' | 'open' | 'waiting' | 'refused';

let onRefused: () => void = () => {};

/** Has `handler` told whenever a stream is refused: it may be that nobody is signed in any more. */
export function whenRefused(handler: () => void): void {
  onRefused = handler;
}

type Handlers = Readonly<Record<string, (data: never) => void>>;

/** After a refusal the browser gives up: a gateway that starts again refuses for a while. */
const AFTER_REFUSAL_MS = 3_000;

/**
 * Server-sent events of one address, for as long as somebody looks: a hidden page holds no connection, of which a
 * browser has six to a server, and costs neither end anything.
 */
export class EventStream {
  readonly state = signal<StreamState>('connecting');
  readonly #url: string;
  readonly #handlers: Handlers;
  readonly #isLasting: () => boolean;
  #source: EventSource | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  /**
   * @param handlers by the names of events; each is given the event's data
   * @param isLasting whether to try again once the stream has ended
   */
  constructor(url: string, handlers: Handlers, isLasting: () => boolean = () => true) {
    this.#url = url;
    this.#handlers = handlers;
    this.#isLasting = isLasting;
    document.addEventListener('visibilitychange', this.#onVisibility);
    if (!document.hidden) this.#open();
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    document.removeEventListener('visibilitychange', this.#onVisibility);
    this.#disconnect();
  }

  readonly #onVisibility = (): void => {
    if (document.hidden) this.#disconnect();
    else if (!this.#source) this.#open();
  };

  #open(): void {
    if (this.#isClosed) return;
    clearTimeout(this.#retry);
    this.state.value = 'connecting';
    const source = new EventSource(this.#url);
    this.#source = source;
    source.onopen = () => {
      this.state.value = 'open';
    };
    source.onerror = () => {
      if (!this.#isLasting()) return this.close();
      const isRefused = source.readyState === EventSource.CLOSED;
      this.state.value = isRefused ? 'refused' : 'waiting';
      if (!isRefused) return;
      onRefused();
      this.#disconnect();
      this.#retry = setTimeout(() => {
        if (!document.hidden) this.#open();
      }, AFTER_REFUSAL_MS);
    };
    for (const [name, handle] of Object.entries(this.#handlers)) {
      source.addEventListener(name, (event) => handle(JSON.parse((event as MessageEvent<string>).data) as never));
    }
  }

  #disconnect(): void {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = undefined;
  }
}
