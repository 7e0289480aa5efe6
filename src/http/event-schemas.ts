import { Type } from 'typebox';
import { EVENTS_EXAMPLES } from './examples.ts';
import { EndReason, oneOf, SessionInfo } from './schemas.ts';
import { usageFields } from './usage-schemas.ts';

/** What a call's timeline looks like in an answer. */

const ms = (description: string) => Type.Number({ description });

const Hop = Type.Object({
  hop: Type.String({
    description:
      '`response_started`, `first_delta` (audio off the socket), `in_outbox`, `handed_over` (to the client), `tool`, `upstream_restored`',
  }),
  atMs: ms('Since the session was created'),
  tookMs: ms('Since the step before it'),
  tool: Type.Optional(Type.String({ description: 'Its name, for the hop `tool`' })),
  durationMs: Type.Optional(
    ms('How long a `tool` or the outage before `upstream_restored` took; what was said before it is not in it'),
  ),
});

export const Turn = Type.Object({
  turn: Type.Integer({ description: 'From 1' }),
  trigger: oneOf(['greeting', 'speech', 'dtmf', 'no_input'], { description: 'What the agent answers' }),
  atMs: ms('When that was complete: for speech, when the upstream took the caller to have finished'),
  speechMs: Type.Optional(ms('How long the caller spoke')),
  hops: Type.Array(Hop, { description: 'The steps to the reply, in order' }),
  latencyMs: Type.Optional(ms('To the first reply audio handed to the client')),
  status: Type.Optional(Type.String({ description: "How the turn's last response ended, as the upstream said" })),
  interrupted: Type.Optional(
    Type.Object(
      {
        atMs: ms('Since the session was created'),
        reactionMs: ms('From the upstream reporting speech to playback being stopped'),
        heardMs: ms('Milliseconds of the reply that the caller had heard'),
      },
      { description: 'Present when the caller cut the reply short' },
    ),
  ),
});

export const Figures = Type.Object(
  {
    turns: Type.Integer({ description: 'Times the caller spoke or pressed keys, and was to be answered' }),
    interruptions: Type.Integer({ description: 'Replies that the caller cut short' }),
    reconnects: Type.Integer({ description: 'Upstream connections that were replaced' }),
    toolCalls: Type.Integer({ description: 'Functions that the AI called' }),
    setupMs: Type.Optional(ms('From create to ready')),
    medianTurnMs: Type.Optional(ms("From the end of speech to the reply's first audio handed over")),
    ...usageFields,
    droppedChunks: Type.Integer({ description: 'Refused, or never there in time' }),
    droppedAudioMs: ms('Caller audio that was too old when the upstream came back'),
  },
  { description: 'The call in numbers' },
);

const Event = Type.Object(
  { atMs: ms('Since the session was created'), type: Type.String({ description: 'What happened' }) },
  { additionalProperties: true, description: 'Details depend on the type' },
);

export const CallEvents = Type.Object(
  {
    callId: Type.String({ description: 'The call' }),
    tenantId: Type.String({ description: 'The tenant it belongs to' }),
    sessionId: Type.String({ description: "Unique; also in the log's `call started`" }),
    aiAgentRef: Type.String({ description: 'Agent profile' }),
    encoding: Type.String({ description: 'Encoding of its audio' }),
    sampleRate: Type.Integer({ description: 'Sample rate in Hz' }),
    status: SessionInfo.properties.status,
    createdAt: Type.String({ format: 'date-time', description: 'When it was created' }),
    endReason: Type.Optional(EndReason),
    figures: Figures,
    turns: Type.Array(Turn, { description: 'In order' }),
    events: Type.Array(Event, { description: 'In order. Nobody is quoted: no words, numbers or keys' }),
    omittedEvents: Type.Integer({ description: 'Left out of the middle of a very long call' }),
  },
  { description: 'What happened on a call', 'x-examples': EVENTS_EXAMPLES },
);
