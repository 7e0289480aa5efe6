import {
  anything,
  array,
  boolean,
  byType,
  decimal,
  type Fields,
  integer,
  nullable,
  object,
  oneOf,
  type Rule,
  required,
  string,
  tagged,
} from './validate.ts';

/** Only an empty or absent rate is missed; any rate other than 24 kHz is refused. */
const pcmRate: Rule = (value, path) => {
  integer(24_000, 24_000)(value, path);
};

/** The published schema calls `rate` optional; the service demands it. */
export const audioFormat = tagged('type', {
  'audio/pcm': { rate: required(pcmRate) },
  'audio/pcmu': {},
  'audio/pcma': {},
});

export const VOICES = ['alloy', 'ash', 'ballad', 'coral', 'echo', 'sage', 'shimmer', 'verse', 'marin', 'cedar'];

export const voice = byType(
  { string: oneOf(...VOICES), object: object({ id: required(string()) }) },
  'a voice name or an object with a voice id',
);

export const outputModalities = array(oneOf('text', 'audio'), { minItems: 1, maxItems: 1 });

export const maxOutputTokens = byType({ number: integer(1), string: oneOf('inf') }, "an integer or 'inf'");

const mcpTool: Fields = {
  server_label: required(string()),
  server_url: string(),
  server_description: string(),
  connector_id: string(),
  allowed_tools: anything,
  allowed_callers: anything,
  authorization: string(),
  defer_loading: boolean,
  headers: anything,
  require_approval: anything,
  tunnel_id: string(),
};

export const tools = array(
  tagged('type', {
    function: {
      name: required(string({ maxLength: 64, pattern: /^[a-zA-Z0-9_-]+$/ })),
      description: string(),
      parameters: anything,
    },
    mcp: mcpTool,
  }),
);

export const toolChoice = byType(
  {
    string: oneOf('none', 'auto', 'required'),
    object: tagged('type', {
      function: { name: required(string()) },
      mcp: { server_label: required(string()), name: nullable(string()) },
    }),
  },
  'a tool choice',
);

export const reasoning = object({ effort: oneOf('minimal', 'low', 'medium', 'high', 'xhigh') });

/** A stored prompt. Accepted and echoed; the simulator says nothing from it. */
export const storedPrompt = nullable(
  object({ id: required(string()), version: nullable(string()), variables: anything }),
);

const transcription = nullable(
  object({
    model: string(),
    language: nullable(string()),
    languages: array(string(), { minItems: 1 }),
    keywords: array(string(), { minItems: 1 }),
    prompt: nullable(string()),
    delay: oneOf('minimal', 'low', 'medium', 'high', 'xhigh'),
  }),
);

const turnDetection = nullable(
  tagged('type', {
    server_vad: {
      threshold: decimal(0, 1),
      prefix_padding_ms: integer(0, 5000),
      silence_duration_ms: integer(0, 10_000),
      idle_timeout_ms: nullable(integer(5000, 30_000)),
      create_response: boolean,
      interrupt_response: boolean,
    },
    semantic_vad: {
      eagerness: oneOf('low', 'medium', 'high', 'auto'),
      create_response: boolean,
      interrupt_response: boolean,
    },
  }),
);

const tracing = byType(
  { string: oneOf('auto'), object: object({ workflow_name: string(), group_id: string(), metadata: anything }) },
  "'auto' or a tracing configuration",
);

const truncation = byType(
  {
    string: oneOf('auto', 'disabled'),
    object: tagged('type', {
      retention_ratio: {
        retention_ratio: required(decimal(0, 1)),
        token_limits: object({ post_instructions: integer(0) }),
      },
    }),
  },
  'a truncation strategy',
);

/**
 * `session` of a `session.update`. Everything but `type` may be left out; a field that does not belong here (the beta's
 * names among them) refuses the whole update.
 */
export const sessionUpdate: Fields = {
  type: required(oneOf('realtime', 'transcription')),
  model: string(),
  output_modalities: outputModalities,
  instructions: string(),
  audio: object({
    input: object({
      format: audioFormat,
      noise_reduction: nullable(object({ type: oneOf('near_field', 'far_field'), strength: decimal(0, 1) })),
      transcription,
      turn_detection: turnDetection,
    }),
    output: object({ format: audioFormat, voice, speed: decimal(0.25, 1.5) }),
  }),
  tools,
  tool_choice: toolChoice,
  parallel_tool_calls: boolean,
  reasoning,
  max_output_tokens: maxOutputTokens,
  truncation,
  tracing: nullable(tracing),
  include: nullable(array(oneOf('item.input_audio_transcription.logprobs'))),
  prompt: storedPrompt,
};
