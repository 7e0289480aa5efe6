import type { ConversationItemCreateEvent, RealtimeClientEvent } from 'openai/resources/realtime/realtime';
import type { ReplayItem } from '../upstream/conversation.ts';

/** Ids that a client may choose. */
const CLIENT_ITEM_ID = /^[A-Za-z0-9_-]{1,32}$/;

type Item = ConversationItemCreateEvent['item'];

/**
 * The events that tell a new session the conversation. Audio of the assistant cannot be given back, and that of the
 * caller costs more than its words, so everything is told as text.
 */
export function replayEvents(items: readonly ReplayItem[]): RealtimeClientEvent[] {
  return items.flatMap((item) => {
    const [first, ...more] = itemsOf(item);
    // The item keeps its name where it can, so that later items of the old and the new session form one chain.
    const named = CLIENT_ITEM_ID.test(item.itemId) ? { ...first, id: item.itemId } : first;
    return [named as Item, ...more].map((one) => ({ type: 'conversation.item.create' as const, item: one }));
  });
}

/** The conversation as the items of a request. */
export function replayItems(items: readonly ReplayItem[]): Item[] {
  return items.flatMap(itemsOf);
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
  return { type: 'conversation.item.create', item: outputItem(toolCallId, output) };
}

/** An entry as its item, and the result behind it where it is a function call that has one. */
function itemsOf(item: ReplayItem): Item[] {
  if (item.kind === 'message') {
    const content = [{ type: item.role === 'user' ? 'input_text' : 'output_text', text: item.text }];
    return [{ type: 'message', role: item.role, content } as Item];
  }
  const { toolCallId, name, arguments: args, output } = item;
  const call: Item = { type: 'function_call', call_id: toolCallId, name, arguments: args };
  return output === undefined ? [call] : [call, outputItem(toolCallId, output)];
}

function outputItem(toolCallId: string, output: string): Item {
  return { type: 'function_call_output', call_id: toolCallId, output };
}
