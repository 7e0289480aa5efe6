import { type Static, Type } from 'typebox';

/**
 * The HTTP contract: one schema a message, from which validation, types and the OpenAPI document come.
 * Names are those of the published API; fields it does not have are additions that old clients can ignore.
 */

const text = (description: string, maxLength = 256) => Type.String({ maxLength, description });

export const CALL_ID_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._~@:+=*!-]{0,127}$';
/** Longest `timeout` of a poll. */
export const MAX_POLL_TIMEOUT_MS = 60_000;
export const DEFAULT_POLL_TIMEOUT_MS = 5_000;

export const CallParams = Type.Object({
  callId: Type.String({ description: 'The `callId` the session was created with', examples: ['call-1'] }),
});

export const CreateBody = Type.Object(
  {
    callId: Type.String({
      pattern: CALL_ID_PATTERN,
      description: "The call's name, unique in its tenant; FreeSWITCH's channel UUID is a good one",
    }),
    tenantId: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$',
        description: "Default: the key's tenant, else `DEFAULT_TENANT_ID`",
      }),
    ),
    storeId: Type.Optional(text('Store the number belongs to; reaches the agent and the summary')),
    did: Type.Optional(text('Number that was called', 64)),
    callerNumber: Type.Optional(text('Number of the caller; never logged in full', 64)),
    aiAgentRef: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$',
        description: 'Agent profile; default: `DEFAULT_AGENT_REF`',
      }),
    ),
    encoding: Type.Optional(
      Type.Union([Type.Literal('pcm16'), Type.Literal('pcmu'), Type.Literal('pcma')], {
        description: 'Encoding of the audio in both directions; default `pcm16`',
      }),
    ),
    sampleRate: Type.Optional(
      Type.Union([Type.Literal(8000), Type.Literal(16_000), Type.Literal(24_000), Type.Literal(48_000)], {
        description: 'Sample rate in Hz in both directions; default 16000, 8000 for G.711',
      }),
    ),
  },
  {
    description: 'Only `callId` is required.',
    examples: [
      {
        callId: 'unique-call-id',
        tenantId: '00000000-0000-0000-0000-000000000001',
        storeId: '50000000-0000-0000-0000-000000000010',
        did: '5406594427',
        callerNumber: '393297626144',
        aiAgentRef: 'customer-care-voice',
      },
    ],
  },
);
export type CreateBody = Static<typeof CreateBody>;

export const CreateAnswer = Type.Object({
  sessionId: Type.String({ description: 'Equals `callId`' }),
  status: Type.Union([Type.Literal('created'), Type.Literal('existing')]),
  nextChunkSeq: Type.Integer({
    description: 'The `chunkSeq` the next chunk is to carry, for clients that number them',
  }),
});
export type CreateAnswer = Static<typeof CreateAnswer>;

const Action = Type.Object({
  id: Type.String({ description: 'Carry an action out once for each `id`' }),
  type: Type.Union([Type.Literal('transfer'), Type.Literal('hangup')]),
  extension: Type.Optional(Type.String({ description: 'Where to transfer to' })),
  reason: Type.Optional(Type.String()),
});

export const EndReason = Type.Union(
  [
    Type.Literal('completed'),
    Type.Literal('agent_hangup'),
    Type.Literal('transferred'),
    Type.Literal('idle'),
    Type.Literal('max_duration'),
    Type.Literal('upstream_failed'),
    Type.Literal('shutdown'),
  ],
  { description: 'Why the session ended' },
);
export type EndReason = Static<typeof EndReason>;

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

export const PollAnswer = Type.Object({
  ...deliveryFields,
  hasMore: Type.Boolean({ description: '`false` once the session has ended and everything was delivered: hang up' }),
  ...endFields,
});
export type PollAnswer = Static<typeof PollAnswer>;

const deliveryQuery = {
  ack: Type.Optional(
    Type.Integer({ minimum: -1, description: 'Everything up to this `seq` arrived; the rest is delivered again' }),
  ),
  maxMs: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 600_000, description: 'Most milliseconds of audio in the answer' }),
  ),
  playedMs: Type.Optional(
    Type.Number({ minimum: 0, description: "Milliseconds of `generation`'s audio that the caller has heard" }),
  ),
  generation: Type.Optional(Type.Integer({ minimum: 0, description: 'The generation that `playedMs` speaks of' })),
};
export const DeliveryQuery = Type.Object(deliveryQuery);
export type DeliveryQuery = Static<typeof DeliveryQuery>;

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
    Type.Union([Type.Literal(0), Type.Literal(1)], {
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
      Type.Integer({ minimum: 0, description: 'Number of this chunk, from 0; a repeat is recognised' }),
    ),
    dtmf: Type.Optional(
      Type.String({ pattern: '^[0-9A-Da-d*#]{1,64}$', description: 'Keys the caller pressed: 0-9 * # A-D' }),
    ),
    playedMs: deliveryQuery.playedMs,
    generation: deliveryQuery.generation,
  },
  { examples: [{ audio: 'AAAAAAAAAAAAAAAA', chunkSeq: 0 }] },
);
export type StreamBody = Static<typeof StreamBody>;

/** Media types of unencoded audio bodies. */
export const RAW_AUDIO_TYPES = ['audio/wav', 'audio/pcm', 'audio/l16', 'audio/pcmu', 'audio/pcma'] as const;

export const ChunkHeaders = Type.Object({
  'x-chunk-seq': Type.Optional(Type.Integer({ minimum: 0, description: '`chunkSeq` of a body without encoding' })),
});

export const StreamAnswer = Type.Object({
  status: Type.Literal('streamed'),
  generation: deliveryFields.generation,
  interrupted: deliveryFields.interrupted,
  audio: deliveryFields.audio,
  transcript: deliveryFields.transcript,
  actions: deliveryFields.actions,
  seq: Type.Optional(deliveryFields.seq),
  hasMore: Type.Optional(Type.Boolean({ description: 'With `poll=1` only' })),
  ...endFields,
});
export type StreamAnswer = Static<typeof StreamAnswer>;

const SummaryAction = Type.Object(
  {
    name: Type.String(),
    arguments: Type.Optional(Type.Unknown()),
    outcome: Type.String(),
    durationMs: Type.Number(),
  },
  { additionalProperties: true },
);

export const Summary = Type.Object({
  callId: Type.String(),
  duration: Type.Integer({ description: 'Milliseconds from creation to end' }),
  transcript: Type.Array(Type.String(), { description: 'In the order of the conversation' }),
  actions: Type.Array(SummaryAction),
  endReason: EndReason,
});
export type Summary = Static<typeof Summary>;

export const EndAnswer = Type.Object({ status: Type.Literal('ended'), summary: Summary });
export type EndAnswer = Static<typeof EndAnswer>;

export const SessionInfo = Type.Object({
  callId: Type.String(),
  tenantId: Type.String(),
  status: Type.Union([Type.Literal('creating'), Type.Literal('active'), Type.Literal('ending'), Type.Literal('ended')]),
  createdAt: Type.String({ format: 'date-time' }),
  lastActivity: Type.String({ format: 'date-time' }),
  transcriptCount: Type.Integer(),
  actionsCount: Type.Integer(),
  aiAgentRef: Type.String(),
  encoding: Type.String(),
  sampleRate: Type.Integer(),
  generation: Type.Integer(),
  queuedAudioMs: Type.Integer({ description: 'Audio not yet known to have arrived at the client' }),
  endReason: Type.Optional(EndReason),
});
export type SessionInfo = Static<typeof SessionInfo>;

export const SessionList = Type.Object({ sessions: Type.Array(SessionInfo), count: Type.Integer() });
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
  hasMore: Type.Optional(Type.Literal(false)),
});

export const Health = Type.Object({
  status: Type.Union([Type.Literal('ok'), Type.Literal('draining')]),
  version: Type.String(),
  uptimeSeconds: Type.Number(),
  upstream: Type.Union([Type.Literal('openai'), Type.Literal('simulator')]),
  sessions: Type.Integer(),
});
export type Health = Static<typeof Health>;

export const Readiness = Type.Object({
  ready: Type.Boolean(),
  reason: Type.Optional(Type.String({ description: 'Why new calls are refused' })),
});
export type Readiness = Static<typeof Readiness>;
