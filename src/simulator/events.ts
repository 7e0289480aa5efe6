import type { ConversationItem, RealtimeServerEvent } from 'openai/resources/realtime/realtime';

type OmitFromEach<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/**
 * A server event without its `event_id`, which the channel adds when it sends it. Checked against the types that OpenAI
 * publishes, so that an event of a wrong shape does not compile.
 */
export type OutgoingEvent = OmitFromEach<RealtimeServerEvent, 'event_id'>;

/**
 * `T` as the service puts it on the wire: what the published types call optional is often present and `null`
 * (`status_details`, `usage`, `transcript`, `param`). Required fields stay required, and unknown fields stay errors.
 */
export type OnTheWire<T> = T extends string | number | boolean
  ? T
  : T extends readonly (infer E)[]
    ? OnTheWire<E>[]
    : T extends object
      ? { [K in keyof T]: OnTheWire<T[K]> | (Record<never, never> extends Pick<T, K> ? null : never) }
      : T;

/**
 * The one cast between the wire and the published types. Where they differ (a `null` in an optional field) recorded
 * sessions are right and the types are not.
 */
export function asPublished<T>(wire: OnTheWire<T>): T {
  return wire as unknown as T;
}

/** An item of the conversation as the events carry it. `phase` is sent by the 2.x models and is not in the types. */
export type WireItem = OnTheWire<ConversationItem> & { id: string; phase?: 'commentary' | 'final_answer' };

/** `item` as the type of the event's field. */
export function publishedItem(item: WireItem): ConversationItem {
  return asPublished<ConversationItem>(item);
}

/** A client event after `JSON.parse`: nothing else is known about it before validation. */
export interface ClientEvent {
  type: string;
  event_id?: string;
  [field: string]: unknown;
}
