import type { ConversationItemCreateEvent, RealtimeClientEvent } from 'openai/resources/realtime/realtime';
import type { ReplayItem } from '../upstream/conversation.ts';

/** Ids that a client may choose. */
const CLIENT_ITEM_ID = /^[A-Za-z0-9_-]{1,32}$/;

/**
 * The events that tell a new session the conversation. Audio of the assistant cannot be given back, and that of the
 * caller costs more than its words, so everything is told as text.
 */
export function replayEvents(items: readonly ReplayItem[]): RealtimeClientEvent[] {
  return items.flatMap((item): RealtimeClientEvent[] => {
    if (item.kind === 'message') {
      return [
        createItem(item.itemId, {
          type: 'message',
          role: item.role,
          content: [{ type: item.role === 'user' ? 'input_text' : 'output_text', text: item.text }],
        } as ConversationItemCreateEvent['item']),
      ];
    }
    const call = createItem(item.itemId, {
      type: 'function_call',
      call_id: item.toolCallId,
      name: item.name,
      arguments: item.arguments,
    });
    return item.output === undefined ? [call] : [call, toolOutput(item.toolCallId, item.output)];
  });
}

/** Whether a conversation ends with something that waits for an answer. */
export function isUnanswered(items: readonly ReplayItem[]): boolean {
  const last = items.at(-1);
  return last?.kind === 'message' ? last.role === 'user' : last?.output !== undefined;
}

/** Whether a function was called whose result is still to come. */
export function hasOpenTool(items: readonly ReplayItem[]): boolean {
  return items.some((item) => item.kind === 'tool' && item.output === undefined);
}

export function isAssistantMessage(item: ReplayItem): boolean {
  return item.kind === 'message' && item.role === 'assistant';
}

/** What `previous_item_id` puts an item where `itemId` was in a replay; undefined: that cannot be said. */
export function previousInReplay(items: readonly ReplayItem[], itemId: string): string | undefined {
  const index = items.findIndex((item) => item.itemId === itemId);
  if (index === 0) return 'root';
  const previous = items[index - 1];
  return previous?.kind === 'message' && CLIENT_ITEM_ID.test(previous.itemId) ? previous.itemId : undefined;
}

/** The event that gives the model a tool's result. */
export function toolOutput(toolCallId: string, output: string): ConversationItemCreateEvent {
  return { type: 'conversation.item.create', item: { type: 'function_call_output', call_id: toolCallId, output } };
}

function createItem(itemId: string, item: ConversationItemCreateEvent['item']): ConversationItemCreateEvent {
  // The item keeps its name where it can, so that later items of the old and the new session form one chain.
  const named = CLIENT_ITEM_ID.test(itemId) ? { ...item, id: itemId } : item;
  return { type: 'conversation.item.create', item: named };
}
