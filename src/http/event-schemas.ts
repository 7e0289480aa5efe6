import { type Static, Type } from 'typebox';
import { EndReason, SessionInfo } from './schemas.ts';

/** What a call's timeline looks like in an answer. */

const ms = (description: string) => Type.Number({ description });

const Hop = Type.Object({
  hop: Type.String({
    description:
      '`response_started`, `first_delta` (audio off the socket), `in_outbox`, `handed_over` (to the client), `tool`, `upstream_restored`',
  }),
  atMs: ms('Since the session was created'),
  tookMs: ms('Since the step before it'),
  tool: Type.Optional(Type.String()),
});

const Turn = Type.Object({
  turn: Type.Integer({ description: 'From 1' }),
  trigger: Type.Union(
    [Type.Literal('greeting'), Type.Literal('speech'), Type.Literal('dtmf'), Type.Literal('no_input')],
    { description: 'What the agent answers' },
  ),
  atMs: ms('When that was complete: for speech, when the upstream took the caller to have finished'),
  speechMs: Type.Optional(ms('How long the caller spoke')),
  hops: Type.Array(Hop),
  latencyMs: Type.Optional(ms('To the first reply audio handed to the client')),
  status: Type.Optional(Type.String({ description: "How the turn's last response ended, as the upstream said" })),
  interrupted: Type.Optional(
    Type.Object({
      atMs: ms('Since the session was created'),
      reactionMs: ms('From the upstream reporting speech to playback being stopped'),
      heardMs: ms('Milliseconds of the reply that the caller had heard'),
    }),
  ),
});

const Figures = Type.Object({
  turns: Type.Integer(),
  interruptions: Type.Integer(),
  reconnects: Type.Integer(),
  toolCalls: Type.Integer(),
  setupMs: Type.Optional(ms('From create to ready')),
  medianTurnMs: Type.Optional(ms("From the end of speech to the reply's first audio handed over")),
  tokens: Type.Record(Type.String(), Type.Number(), { description: 'By kind, each token counted once' }),
  audioSeconds: Type.Object({ up: Type.Number(), down: Type.Number() }),
  droppedChunks: Type.Integer({ description: 'Refused, or never there in time' }),
  droppedAudioMs: ms('Caller audio that was too old when the upstream came back'),
});

const Event = Type.Object(
  { atMs: ms('Since the session was created'), type: Type.String() },
  { additionalProperties: true, description: 'Details depend on the type' },
);

export const CallEvents = Type.Object(
  {
    callId: Type.String(),
    tenantId: Type.String(),
    sessionId: Type.String({ description: "Unique; also in the log's `call started`" }),
    aiAgentRef: Type.String(),
    encoding: Type.String(),
    sampleRate: Type.Integer(),
    status: SessionInfo.properties.status,
    createdAt: Type.String({ format: 'date-time' }),
    endReason: Type.Optional(EndReason),
    figures: Figures,
    turns: Type.Array(Turn),
    events: Type.Array(Event, { description: 'In order. Nobody is quoted: no words, numbers or keys' }),
    omittedEvents: Type.Integer({ description: 'Left out of the middle of a very long call' }),
  },
  { description: 'What happened on a call' },
);
export type CallEvents = Static<typeof CallEvents>;
