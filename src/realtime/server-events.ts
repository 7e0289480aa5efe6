import type { RawEvent } from './incoming.ts';

/**
 * Reads one frame of the socket.
 * @returns the event, or undefined when it is not JSON with a `type`
 */
export function parseServerEvent(text: string): RawEvent | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string') {
      return value as RawEvent;
    }
  } catch {
    // Falls through: the caller counts it.
  }
  return undefined;
}
