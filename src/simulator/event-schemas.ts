import { RequestError } from './errors.ts';
import type { ClientEvent } from './events.ts';
import {
  audioFormat,
  maxOutputTokens,
  outputModalities,
  reasoning,
  sessionUpdate,
  storedPrompt,
  toolChoice,
  tools,
  voice,
} from './session-schema.ts';
import {
  anything,
  array,
  boolean,
  integer,
  nullable,
  object,
  oneOf,
  type Rule,
  required,
  string,
  tagged,
  unsupportedValue,
} from './validate.ts';

/** Ids that the client chooses: a UUID with its dashes is already too long. */
const clientId = string({ maxLength: 32, pattern: /^[a-zA-Z0-9_-]+$/ });

const itemFields = {
  id: clientId,
  object: oneOf('realtime.item'),
  status: oneOf('completed', 'incomplete', 'in_progress'),
};

const userContent = tagged('type', {
  input_text: { text: required(string()) },
  input_audio: { audio: required(string()), transcript: nullable(string()) },
  input_image: { image_url: required(string()), detail: oneOf('auto', 'low', 'high') },
});
const systemContent = tagged('type', { input_text: { text: required(string()) } });
/** Assistant audio cannot be populated: its text is missed, whatever else is there. */
const assistantContent = tagged('type', {
  output_text: { text: required(string()) },
  output_audio: { text: required(string()), transcript: anything, audio: anything },
});

const message = tagged('role', {
  user: { ...itemFields, type: anything, content: required(array(userContent, { minItems: 1 })) },
  system: { ...itemFields, type: anything, content: required(array(systemContent, { minItems: 1 })) },
  assistant: { ...itemFields, type: anything, content: required(array(assistantContent, { minItems: 1 })) },
});

const functionCall = { ...itemFields, name: required(string()), arguments: required(string()), call_id: clientId };
const functionCallOutput = { ...itemFields, call_id: required(clientId), output: required(string()) };

const kindOfItem = (kinds: Record<string, Rule>): Rule => {
  const anyItem = object({ type: required(anything) });
  return (value, path) => {
    if (typeof value !== 'object' || value === null || !('type' in value)) anyItem(value, path);
    const { type } = value as { type: unknown };
    const rule = typeof type === 'string' ? kinds[type] : undefined;
    if (!rule) throw unsupportedValue(type, Object.keys(kinds), `${path}.type`);
    rule(value, path);
  };
};

const items = {
  message,
  function_call: object({ ...functionCall, type: anything }),
  function_call_output: object({ ...functionCallOutput, type: anything }),
};
const item = kindOfItem(items);
const itemOrReference = kindOfItem({ ...items, item_reference: object({ type: anything, id: required(string()) }) });

const metadata: Rule = (value, path) => {
  if (value === null) return;
  object(Object.fromEntries(Object.keys(Object(value)).map((key) => [key, string({ maxLength: 512 })])))(value, path);
  const keys = Object.keys(value as object);
  if (keys.length > 16) {
    const text = `Invalid '${path}': too many properties. Expected an object with at most 16 properties, but got an object with ${keys.length} properties instead.`;
    throw new RequestError('object_above_max_properties', text, path);
  }
  for (const key of keys) string({ maxLength: 64 })(key, path);
};

const responseParams = object({
  output_modalities: outputModalities,
  instructions: string(),
  audio: object({ output: object({ format: audioFormat, voice }) }),
  tools,
  tool_choice: toolChoice,
  parallel_tool_calls: boolean,
  reasoning,
  max_output_tokens: maxOutputTokens,
  conversation: string(),
  metadata,
  prompt: storedPrompt,
  input: array(itemOrReference),
});

const event = (fields: Record<string, Parameters<typeof object>[0][string]>): Rule =>
  object({ type: anything, event_id: nullable(string({ maxLength: 512 })), ...fields });

/** Every client event but `input_audio_buffer.append`, which is too frequent to be checked field by field. */
const EVENTS: Record<string, Rule> = {
  'session.update': event({ session: required(object(sessionUpdate)) }),
  'input_audio_buffer.commit': event({}),
  'input_audio_buffer.clear': event({}),
  'output_audio_buffer.clear': event({}),
  'conversation.item.create': event({ item: required(item), previous_item_id: nullable(string()) }),
  'conversation.item.retrieve': event({ item_id: required(string()) }),
  'conversation.item.truncate': event({
    item_id: required(string()),
    content_index: required(integer(0)),
    audio_end_ms: required(integer(0)),
  }),
  'conversation.item.delete': event({ item_id: required(string()) }),
  'response.create': event({ response: nullable(responseParams) }),
  'response.cancel': event({ response_id: nullable(string()) }),
};

/** @throws RequestError when the event is not one the service knows, or has a wrong shape */
export function validateEvent(candidate: ClientEvent): void {
  const rule = Object.hasOwn(EVENTS, candidate.type) ? EVENTS[candidate.type] : undefined;
  if (!rule) throw unsupportedValue(candidate.type, [...Object.keys(EVENTS), 'input_audio_buffer.append'], 'type');
  rule(candidate, '');
}
