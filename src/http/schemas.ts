import { type Static, Type } from 'typebox';
import { ENCODINGS } from '../audio/codec.ts';
import { SAMPLE_RATES_HZ } from '../audio/sample-rates.ts';
import { SESSION_STATES } from '../call/call-info.ts';
import { END_REASONS } from '../call/end-reason.ts';
import {
  CREATE_ANSWER_EXAMPLES,
  CREATE_EXAMPLES,
  END_ANSWER_EXAMPLES,
  EXAMPLE_CALL_ID,
  HEALTH_EXAMPLES,
  LIST_EXAMPLES,
  POLL_ANSWER_EXAMPLES,
  SESSION_EXAMPLES,
  STREAM_ANSWER_EXAMPLES,
  STREAM_EXAMPLES,
} from './examples.ts';
import { oneOf } from './one-of.ts';
import { CallUsage } from './usage-schemas.ts';

/**
 * The HTTP contract: one schema a message, from which validation, types and the OpenAPI document come.
 * Names are those of the published API; fields it does not have are additions that old clients can ignore.
 */

export { oneOf } from './one-of.ts';

const text = (description: string, maxLength = 256) => Type.String({ maxLength, description });

/** `create` is the path of another route. */
export const CALL_ID_PATTERN = '^(?!create$)[A-Za-z0-9][A-Za-z0-9._~@:+=*!-]{0,127}$';
/** What names of tenants look like, wherever they come from. */
export const TENANT_ID_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$';
/** What names of agent profiles look like. */
export const AGENT_REF_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$';
/** Largest body of a route that takes no audio. */
export const MAX_BODY_BYTES = 64 * 1024;
/** Largest body with audio: 10 MB, as generously as that is counted. */
export const MAX_AUDIO_BODY_BYTES = 10 * 1024 * 1024;
/** Longest `timeout` of a poll. */
export const MAX_POLL_TIMEOUT_MS = 60_000;
export const DEFAULT_POLL_TIMEOUT_MS = 5_000;
/** Largest number of a chunk: at ten chunks a second, six years. */
export const MAX_CHUNK_SEQ = 2_147_483_647;
const MAX_SEQ = Number.MAX_SAFE_INTEGER;
const DAY_MS = 86_400_000;

export const CallParams = Type.Object({
  callId: Type.String({
    description: 'The `callId` the session was created with; percent-encoded where that is needed',
    examples: [EXAMPLE_CALL_ID],
  }),
});

export const CreateBody = Type.Object(
  {
    callId: Type.String({
      pattern: CALL_ID_PATTERN,
      description: "The call's name, unique in its tenant; FreeSWITCH's channel UUID is a good one",
    }),
    tenantId: Type.Optional(
      Type.String({
        pattern: TENANT_ID_PATTERN,
        description: "Default: the key's tenant, else `DEFAULT_TENANT_ID`",
      }),
    ),
    storeId: Type.Optional(text('Store the number belongs to; reaches the agent and the summary')),
    did: Type.Optional(text('Number that was called', 64)),
    callerNumber: Type.Optional(text('Number of the caller; never logged in full', 64)),
    aiAgentRef: Type.Optional(
      Type.String({
        pattern: AGENT_REF_PATTERN,
        description: 'Agent profile; default: `DEFAULT_AGENT_REF`',
      }),
    ),
    encoding: Type.Optional(
      oneOf([...ENCODINGS], {
        description: 'Encoding of the audio in both directions; default `pcm16`',
      }),
    ),
    sampleRate: Type.Optional(
      oneOf([...SAMPLE_RATES_HZ], {
        description: 'Sample rate in Hz in both directions; default 16000, 8000 for G.711',
      }),
    ),
    traceparent: Type.Optional(text('W3C Trace Context, where the header of this name cannot be sent', 128)),
    tracestate: Type.Optional(text('The same', 512)),
  },
  { description: 'Only `callId` is required.', 'x-examples': CREATE_EXAMPLES },
);
export type CreateBody = Static<typeof CreateBody>;

export const CreateAnswer = Type.Object(
  {
    sessionId: Type.String({ description: 'Equals `callId`' }),
    status: oneOf(['created', 'existing'], {
      description: '`existing`: the call has a session already, and keeps it',
    }),
    nextChunkSeq: Type.Integer({
      description: 'The `chunkSeq` the next chunk is to carry, for clients that number them',
    }),
    streamUrl: Type.Optional(
      Type.String({
        description:
          'Where the node that holds the call takes its audio, for clients that like to go straight; absent where there is one node',
      }),
    ),
  },
  { description: 'The session is ready for audio', 'x-examples': CREATE_ANSWER_EXAMPLES },
);
export type CreateAnswer = Static<typeof CreateAnswer>;

const Action = Type.Object({
  id: Type.String({ description: 'Carry an action out once for each `id`' }),
  type: oneOf(['transfer', 'hangup'], { description: 'What to do with the call' }),
  extension: Type.Optional(Type.String({ description: 'Where to transfer to; absent for `hangup`' })),
  reason: Type.Optional(Type.String({ description: 'Why, in the words of the AI or of the gateway' })),
});

export const EndReason = oneOf([...END_REASONS], { description: 'Why the session ended' });

const deliveryFields = {
  audio: Type.Optional(
    Type.String({ description: "Base64 audio in the call's encoding and rate; absent when there is none" }),
  ),
  transcript: Type.Optional(
    Type.String({ description: '`[User]: …` and `[AI]: …` lines joined by newlines; absent when there are none' }),
  ),
  actions: Type.Optional(
    Type.Array(Action, { description: 'What the switch is to do after playing everything before it' }),
  ),
  seq: Type.Integer({ description: 'Number of the last entry delivered; −1 at first. Send it back as `ack`' }),
  generation: Type.Integer({ description: 'Rises at an interruption: flush what is still to be played' }),
  interrupted: Type.Optional(
    Type.Literal(true, { description: 'Set on the first answer of each kind after `generation` rose' }),
  ),
};

const endFields = {
  endReason: Type.Optional(EndReason),
  error: Type.Optional(Type.String({ description: 'Why the call could not go on, where it could not' })),
};

export const PollAnswer = Type.Object(
  {
    ...deliveryFields,
    hasMore: Type.Boolean({ description: '`false` once the session has ended and everything was delivered: hang up' }),
    ...endFields,
  },
  { description: 'What was queued, or nothing', 'x-examples': POLL_ANSWER_EXAMPLES },
);
export type PollAnswer = Static<typeof PollAnswer>;

const deliveryQuery = {
  ack: Type.Optional(
    Type.Integer({
      minimum: -1,
      maximum: MAX_SEQ,
      description: 'Everything up to this `seq` arrived; the rest is delivered again',
    }),
  ),
  maxMs: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 600_000, description: 'Most milliseconds of audio in the answer' }),
  ),
  playedMs: Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: DAY_MS,
      description: "Milliseconds of `generation`'s audio that the caller has heard",
    }),
  ),
  generation: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: MAX_SEQ,
      description: 'The generation that `playedMs` speaks of; without the present one `playedMs` is ignored',
    }),
  ),
};
export const DeliveryQuery = Type.Object(deliveryQuery);

export const PollQuery = Type.Object({
  timeout: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: MAX_POLL_TIMEOUT_MS,
      default: DEFAULT_POLL_TIMEOUT_MS,
      description: 'Longest wait in milliseconds',
    }),
  ),
  ...deliveryQuery,
});

export const StreamQuery = Type.Object({
  poll: Type.Optional(
    oneOf([0, 1], {
      description: '1: the answer carries what is queued for the caller as well; it never waits',
    }),
  ),
  ...deliveryQuery,
});

export const StreamBody = Type.Object(
  {
    audio: Type.Optional(
      Type.String({ description: "Base64 of raw samples in the call's encoding, or of a whole PCM16 WAV file" }),
    ),
    chunkSeq: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: MAX_CHUNK_SEQ,
        description:
          'Number of this chunk, from 0; a repeat is recognised. A call numbers all its chunks with audio or none',
      }),
    ),
    dtmf: Type.Optional(
      Type.String({ pattern: '^[0-9A-Da-d*#]{1,64}$', description: 'Keys the caller pressed: 0-9 * # A-D' }),
    ),
    playedMs: deliveryQuery.playedMs,
    generation: deliveryQuery.generation,
  },
  { description: 'At least one of `audio` and `dtmf`.', 'x-examples': STREAM_EXAMPLES },
);
export type StreamBody = Static<typeof StreamBody>;

/** Media types of bare samples, which may be streamed. */
export const BARE_AUDIO_TYPES = ['audio/pcm', 'audio/l16', 'audio/pcmu', 'audio/pcma'] as const;

/** Media types of unencoded audio bodies. */
export const RAW_AUDIO_TYPES = ['audio/wav', 'audio/x-wav', 'audio/wave', ...BARE_AUDIO_TYPES] as const;

export const ChunkHeaders = Type.Object({
  'x-chunk-seq': Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: MAX_CHUNK_SEQ,
      description: '`chunkSeq` of a body that is bare audio, or of one without it',
    }),
  ),
});

export const StreamAnswer = Type.Object(
  {
    status: Type.Literal('streamed', { description: 'Always `streamed`' }),
    generation: deliveryFields.generation,
    interrupted: deliveryFields.interrupted,
    audio: deliveryFields.audio,
    transcript: deliveryFields.transcript,
    actions: deliveryFields.actions,
    seq: Type.Optional(deliveryFields.seq),
    hasMore: Type.Optional(Type.Boolean({ description: 'With `poll=1` only' })),
    ...endFields,
  },
  { description: 'The audio was taken', 'x-examples': STREAM_ANSWER_EXAMPLES },
);
export type StreamAnswer = Static<typeof StreamAnswer>;

export const SummaryAction = Type.Object(
  {
    name: Type.String({ description: 'Function that the AI called' }),
    by: Type.Optional(
      Type.Literal('gateway', { description: 'The gateway did it by itself: the transfer to the fallback' }),
    ),
    arguments: Type.Optional(Type.Unknown({ description: 'As the AI gave them' })),
    outcome: Type.String({
      description: '`ok`, `failed`, `refused` or `cancelled`, as also what still ran when the call ended',
    }),
    durationMs: Type.Number({ description: 'Milliseconds from the call of the function to its result' }),
  },
  { additionalProperties: true },
);

export const Summary = Type.Object(
  {
    callId: Type.String({ description: 'The call' }),
    duration: Type.Integer({ description: 'Milliseconds from creation to end' }),
    transcript: Type.Array(Type.String(), {
      description: '`[User]: …` and `[AI]: …`, in the order of the conversation',
    }),
    actions: Type.Array(SummaryAction, { description: 'What the AI did beside speaking, in order' }),
    endReason: EndReason,
    aiAgentRef: Type.String({ description: 'Agent profile' }),
    usage: CallUsage,
  },
  { description: 'What is kept of the call' },
);

export const EndAnswer = Type.Object(
  { status: Type.Literal('ended', { description: 'Always `ended`' }), summary: Summary },
  { description: 'The call is over', 'x-examples': END_ANSWER_EXAMPLES },
);

const sessionFields = {
  callId: Type.String({ description: 'The call' }),
  tenantId: Type.String({ description: 'The tenant it belongs to' }),
  status: oneOf([...SESSION_STATES], {
    description: '`ending`: over, but what was said last is still to be fetched',
  }),
  createdAt: Type.String({ format: 'date-time', description: 'When it was created' }),
  lastActivity: Type.String({ format: 'date-time', description: 'When its last `stream` request or poll came' }),
  transcriptCount: Type.Integer({ description: 'Lines of the transcript so far' }),
  actionsCount: Type.Integer({ description: 'Functions that the AI called so far, and transfers to the fallback' }),
  aiAgentRef: Type.String({ description: 'Agent profile' }),
  encoding: Type.String({ description: 'Encoding of its audio in both directions' }),
  sampleRate: Type.Integer({ description: 'Sample rate in Hz in both directions' }),
  generation: Type.Integer({ description: 'How often the caller has interrupted' }),
  queuedAudioMs: Type.Integer({ description: 'Milliseconds of audio not yet known to have arrived at the client' }),
  endReason: Type.Optional(EndReason),
};
const SESSION_DESCRIPTION = 'How the call stands';

export const SessionInfo = Type.Object(sessionFields, {
  description: SESSION_DESCRIPTION,
  'x-examples': SESSION_EXAMPLES,
});

export const SessionList = Type.Object(
  {
    // Not `SessionInfo`, whose examples are of an answer: inside a schema they would be taken for one value.
    sessions: Type.Array(Type.Object(sessionFields, { description: SESSION_DESCRIPTION }), {
      description: 'Sessions that have not ended, oldest first',
    }),
    count: Type.Integer({ description: 'How many there are, also beyond `limit`' }),
  },
  { description: 'The calls that the key may see', 'x-examples': LIST_EXAMPLES },
);
export const ListQuery = Type.Object({
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 100_000, description: 'Most sessions in the answer; `count` is of them all' }),
  ),
});

export const ErrorAnswer = Type.Object({
  error: Type.String({ description: 'A sentence that names the field and the value' }),
  code: Type.String({ description: 'Stable, for programs' }),
  requestId: Type.String({ description: 'Also in the log and in the `x-request-id` header' }),
  status: Type.Optional(Type.String({ description: 'The status word of the call, where it has one' })),
  hasMore: Type.Optional(
    Type.Literal(false, { description: 'With `session_not_found`, for clients that only look at this' }),
  ),
});

export const Health = Type.Object(
  {
    status: oneOf(['ok', 'draining'], {
      description: '`draining`: shutting down, running calls go on',
    }),
    version: Type.String({ description: 'Version of the gateway' }),
    uptimeSeconds: Type.Number({ description: 'Seconds since it started' }),
    upstream: oneOf(['openai', 'simulator'], {
      description: 'Who answers the calls: a Realtime API, or the embedded simulator',
    }),
    sessions: Type.Integer({ description: 'Calls at the moment' }),
  },
  { description: 'Alive', 'x-examples': HEALTH_EXAMPLES },
);
export type Health = Static<typeof Health>;

export const Readiness = Type.Object({
  ready: Type.Boolean({ description: 'Whether a new call would be taken now' }),
  reason: Type.Optional(Type.String({ description: 'Why new calls are refused' })),
});
export type Readiness = Static<typeof Readiness>;
