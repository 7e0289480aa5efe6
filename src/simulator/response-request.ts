import type {
  RealtimeAudioFormats,
  RealtimeResponseCreateParamsWithReferencesParam,
} from 'openai/resources/realtime/realtime';
import type { Entry } from './conversation.ts';
import { type Codec, codecOf } from './format.ts';
import { modalityOf, type WireSession } from './session.ts';

/** A response as it was asked for: the session's settings with those of the `response.create` over them. */
export interface ResponseRequest {
  modality: 'text' | 'audio';
  /** Of the `response.create` alone. */
  instructions: string | undefined;
  /** What precedes the conversation in the prompt: instructions and tools. */
  preamble: string;
  tools: WireSession['tools'];
  toolChoice: WireSession['tool_choice'];
  maxOutputTokens: number | 'inf';
  format: RealtimeAudioFormats;
  codec: Codec;
  voice: WireSession['audio']['output']['voice'];
  metadata: Record<string, string> | null;
  /** False for out-of-band responses, which run beside the conversation and write nothing into it. */
  inConversation: boolean;
  /** A context of its own instead of the conversation. */
  input: Entry[] | undefined;
}

/** `response` of a `response.create`, after it passed the schema. */
export type ResponseParams = RealtimeResponseCreateParamsWithReferencesParam;

export function responseRequest(
  session: WireSession,
  params: ResponseParams,
  input: Entry[] | undefined,
): ResponseRequest {
  const format = params.audio?.output?.format ?? session.audio.output.format;
  const tools = (params.tools as WireSession['tools'] | undefined) ?? session.tools;
  const instructions = params.instructions ?? session.instructions;
  return {
    modality: modalityOf(params.output_modalities ?? session.output_modalities),
    instructions: params.instructions,
    preamble: tools.length === 0 ? instructions : `${instructions} ${JSON.stringify(tools)}`,
    tools,
    toolChoice: params.tool_choice ?? session.tool_choice,
    maxOutputTokens: params.max_output_tokens ?? session.max_output_tokens,
    format,
    codec: codecOf(format),
    voice: params.audio?.output?.voice ?? session.audio.output.voice,
    metadata: params.metadata ?? null,
    inConversation: params.conversation !== 'none',
    input,
  };
}
