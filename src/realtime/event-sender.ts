import type { RealtimeClientEvent } from 'openai/resources/realtime/realtime';

/** The way to the server, as far as those need it who only send. */
export interface EventSender {
  /** Sends an event; false while there is no connection. */
  send(event: RealtimeClientEvent): boolean;
}
