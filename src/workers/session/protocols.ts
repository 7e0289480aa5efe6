import { RealtimeSession } from '../../realtime/session.ts';
import type { NewConversation } from '../../upstream/ai-conversation.ts';
import type { Protocol } from '../../upstream/protocol.ts';

/** Who speaks each protocol: the one place that knows them. */
export const NEW_CONVERSATION: Readonly<Record<Protocol, NewConversation>> = {
  realtime: (setup, host, nowMs) => new RealtimeSession(setup, host, nowMs),
};
