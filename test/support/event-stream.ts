import { get, type IncomingMessage } from 'node:http';

export interface ServerSentEvent {
  readonly event: string;
  readonly id: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: what a server says is looked at freely
  readonly data: any;
}

/** Reads the events of a text as a browser does. */
export function readEvents(text: string): ServerSentEvent[] {
  return text.split('\n\n').flatMap((block) => {
    const fields = new Map(
      block.split('\n').flatMap((line) => {
        const [, name, value] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
        return name === undefined ? [] : [[name, value!] as const];
      }),
    );
    const data = fields.get('data');
    return data === undefined
      ? []
      : [{ event: fields.get('event') ?? 'message', id: fields.get('id'), data: JSON.parse(data) }];
  });
}

/** A client of server-sent events that keeps all it was told. */
export class EventClient {
  readonly response: IncomingMessage;
  #text = '';
  #isOver = false;
  #onChange: (() => void) | undefined;

  private constructor(response: IncomingMessage) {
    this.response = response;
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      this.#text += text;
      this.#onChange?.();
    });
    response.on('close', () => {
      this.#isOver = true;
      this.#onChange?.();
    });
    response.on('error', () => {});
  }

  static open(url: string, headers: Record<string, string> = {}): Promise<EventClient> {
    return new Promise((resolve, reject) => {
      get(url, { headers }, (response) => resolve(new EventClient(response))).on('error', reject);
    });
  }

  get status(): number {
    return this.response.statusCode!;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get events(): ServerSentEvent[] {
    return readEvents(this.#text);
  }

  named(name: string): ServerSentEvent[] {
    return this.events.filter(({ event }) => event === name);
  }

  /** Resolves when something is true of what was told. */
  async until(isTrue: (client: this) => boolean, timeoutMs = 10_000): Promise<void> {
    const endsAtMs = performance.now() + timeoutMs;
    while (!isTrue(this)) {
      const leftMs = endsAtMs - performance.now();
      if (leftMs <= 0) throw new Error(`not told within ${timeoutMs} ms; told: ${this.#text.slice(-2_000)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(leftMs, 1_000));
        this.#onChange = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  close(): void {
    this.response.destroy();
  }
}
