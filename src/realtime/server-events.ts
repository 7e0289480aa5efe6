import type { RealtimeServerEvent } from 'openai/resources/realtime/realtime';

type Known = RealtimeServerEvent['type'];
type EventOf<T extends Known> = Extract<RealtimeServerEvent, { type: T }>;

/** Handlers by event type. What has no handler is ignored: servers add events and fields at any time. */
export type ServerEventHandlers = { readonly [T in Known]?: (event: EventOf<T>) => void };

/** Calls the handler of an event's type. Returns false when there is none. */
export function dispatch(handlers: ServerEventHandlers, event: { type: string }): boolean {
  if (!Object.hasOwn(handlers, event.type)) return false;
  (handlers as Record<string, (event: unknown) => void>)[event.type]?.(event);
  return true;
}

/**
 * Reads one frame of the socket.
 * @returns the event, or undefined when it is not JSON with a `type`
 */
export function parseServerEvent(text: string): { type: string } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string') {
      return value as { type: string };
    }
  } catch {
    // Falls through: the caller counts it.
  }
  return undefined;
}
