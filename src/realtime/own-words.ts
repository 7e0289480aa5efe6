import type { ConversationItem, RealtimeClientEvent } from 'openai/resources/realtime/realtime';
import type { ReplayItem } from '../upstream/conversation.ts';
import type { ConversationSettings } from '../upstream/settings.ts';
import { replayItems } from './replay.ts';
import type { ResponseOverrides } from './response-scheduler.ts';

const CONTINUE =
  'You were cut off while you were speaking. The caller heard your last message only as far as it goes in this conversation. Go on from exactly there, and do not repeat what you said.';

/**
 * A response that says what the gateway wants said. The words come as the response's whole input, behind the session's
 * own instructions and tools: instructions of the response would stand in their place, and the upstream's prompt cache
 * holds nothing that begins differently. They leave no trace in the conversation; what is said does.
 */
export function sayWords(words: string, why: string, { toolChoice }: ConversationSettings): ResponseOverrides {
  return {
    input: [systemMessage(words)],
    metadata: { why },
    // A choice that forces a tool would have it called instead.
    ...(toolChoice === 'auto' ? {} : { tool_choice: 'none' }),
  };
}

/** A response to a tool's result: a choice that forces a tool would go on calling it for ever. */
export function afterTool({ toolChoice }: Pick<ConversationSettings, 'toolChoice'>): ResponseOverrides | undefined {
  return toolChoice === 'auto' || toolChoice === 'none' ? undefined : { tool_choice: 'auto' };
}

/**
 * Has a response go on of which the caller heard the beginning.
 * @param overrides the response's; undefined: it was an answer to the conversation
 * @param history the conversation as far as it was heard
 */
export function goOn(overrides: ResponseOverrides | undefined, history: readonly ReplayItem[]): ResponseOverrides {
  // Words of its own come last, also where it has been asked to go on before.
  const words = overrides?.metadata?.['why'] ? (overrides.input ?? []).slice(-1) : [];
  return {
    ...overrides,
    input: [...(replayItems(history) as ConversationItem[]), systemMessage(CONTINUE), ...words],
    metadata: { ...overrides?.metadata, goes: 'on' },
  };
}

/** Tells, on the connection that it broke off on, that an answer is to go on: the conversation is there already. */
export function noteCutOff(): RealtimeClientEvent {
  return { type: 'conversation.item.create', item: systemMessage(CONTINUE) };
}

/** Whether a response was asked to go on, and so has the history of its time with it. */
export function goesOn(overrides: ResponseOverrides | undefined): boolean {
  return overrides?.metadata?.['goes'] === 'on';
}

function systemMessage(text: string): ConversationItem {
  return { type: 'message', role: 'system', content: [{ type: 'input_text', text }] };
}
