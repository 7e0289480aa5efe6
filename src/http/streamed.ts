import type { IncomingMessage } from 'node:http';

const streamed = new WeakSet<IncomingMessage>();

/** The body of this request lasts as long as a call: no time is set for it to arrive. */
export function markStreamed(request: IncomingMessage): void {
  streamed.add(request);
}

export function isStreamed(request: IncomingMessage): boolean {
  return streamed.has(request);
}
