import type {
  RealtimeConversationItemAssistantMessage,
  RealtimeConversationItemFunctionCall,
  RealtimeConversationItemFunctionCallOutput,
  RealtimeConversationItemSystemMessage,
  RealtimeConversationItemUserMessage,
} from 'openai/resources/realtime/realtime';
import { decodeBase64 } from '../audio/base64.ts';
import { type Entry, entryOf } from './conversation.ts';
import { RequestError } from './errors.ts';
import type { Codec } from './format.ts';
import type { IdSource } from './ids.ts';
import type { Recogniser } from './recogniser.ts';
import { Utterance } from './utterance.ts';

/** An item that the client wrote, after it passed the schema. */
export type ClientItem =
  | RealtimeConversationItemUserMessage
  | RealtimeConversationItemSystemMessage
  | RealtimeConversationItemAssistantMessage
  | RealtimeConversationItemFunctionCall
  | RealtimeConversationItemFunctionCallOutput;

/** What a client's audio is in, and who listens to it. */
export interface Hearing {
  codec: Codec;
  recogniser: Recogniser;
}

/** The item as the conversation keeps it: with an id, complete, and its audio heard instead of kept. */
export function entryOfClientItem(item: ClientItem, ids: IdSource, hearing: Hearing): Entry {
  const id = item.id ?? ids.next('item');
  const status = item.status ?? 'completed';
  if (item.type === 'function_call') {
    return entryOf({
      id,
      type: 'function_call',
      status,
      name: item.name,
      arguments: item.arguments,
      call_id: item.call_id ?? ids.nextCall(),
    });
  }
  if (item.type === 'function_call_output') {
    return entryOf({ id, type: 'function_call_output', status, call_id: item.call_id, output: item.output });
  }
  if (item.role === 'assistant') {
    const content = item.content.map(({ text = '' }) => ({ type: 'output_text' as const, text }));
    return entryOf({ id, type: 'message', status, role: 'assistant', content });
  }
  if (item.role === 'system') {
    const content = item.content.map(({ text = '' }) => ({ type: 'input_text' as const, text }));
    return entryOf({ id, type: 'message', status, role: 'system', content });
  }
  const spoken = item.content.find(({ type }) => type === 'input_audio');
  const content = item.content.map(({ audio, ...rest }) =>
    audio === undefined ? rest : { ...rest, transcript: null },
  );
  const wire = { id, type: 'message' as const, status, role: 'user' as const, content };
  return spoken?.audio === undefined ? entryOf(wire) : entryOf(wire, { utterance: hear(spoken.audio, hearing) });
}

function hear(base64: string, { codec, recogniser }: Hearing): Utterance {
  try {
    const bytes = decodeBase64(base64);
    if (bytes.length % codec.bytesPerSample === 0) return new Utterance(bytes, codec, recogniser);
  } catch {
    // Not base64: refused below with the service's sentence.
  }
  const message = "Invalid 'item.content.audio'. Expected base64-encoded audio bytes but got an invalid value.";
  throw new RequestError('invalid_value', message, 'item.content.audio');
}
