import { Type } from 'typebox';
import { PHASES } from '../call/live-call.ts';
import { CallEvents, Turn } from './event-schemas.ts';
import { EndReason, oneOf, SessionInfo, TENANT_ID_PATTERN } from './schemas.ts';

/** What is told of calls while they go on: the data of server-sent events. */

const ms = (description: string) => Type.Number({ description });
const { callId, tenantId, status, createdAt, transcriptCount, actionsCount, aiAgentRef, encoding, sampleRate } =
  SessionInfo.properties;
const { generation, queuedAudioMs, endReason } = SessionInfo.properties;
const sessionId = Type.String({ description: "Unique among all calls ever; the history's name of the call" });

const Numbers = Type.Optional(
  oneOf(['masked', 'full'], { description: "How callers' numbers are shown; default `masked`: the last two digits" }),
);
const Tenant = Type.Optional(
  Type.String({
    pattern: TENANT_ID_PATTERN,
    description: 'As `X-Tenant-ID`, for clients that cannot send headers',
  }),
);

export const LiveQuery = Type.Object({ tenantId: Tenant, numbers: Numbers });

export const FollowQuery = Type.Object({
  follow: Type.Optional(
    oneOf([0, 1], { description: '1: the answer goes on until the call has ended, as server-sent events' }),
  ),
  tenantId: Tenant,
  numbers: Numbers,
});

export const LiveCall = Type.Object(
  {
    sessionId,
    callId,
    tenantId,
    aiAgentRef,
    callerNumber: Type.Optional(
      Type.String({ description: 'Its last two digits, or all of it with `numbers=full` and a key that may see it' }),
    ),
    did: Type.Optional(Type.String({ description: 'Number that was called' })),
    status,
    phase: oneOf([...PHASES], {
      description: '`thinking`: the caller has finished, and the answer is not there yet; `listening`: nobody speaks',
    }),
    createdAt,
    encoding,
    sampleRate,
    transcriptCount,
    actionsCount,
    generation,
    queuedAudioMs,
    turnCount: Type.Integer({ description: 'Times the caller spoke or pressed keys, and was to be answered' }),
    lastTurnMs: Type.Optional(ms("Of the last turn that was answered: from the end of speech to the reply's audio")),
    interruptions: Type.Integer({ description: 'Replies that the caller cut short' }),
    reconnects: Type.Integer({ description: 'Upstream connections that were replaced' }),
    faultCount: Type.Integer({ description: 'Things that went wrong' }),
    lastFault: Type.Optional(Type.String({ description: 'The type of the last of them, as on the timeline' })),
    endReason,
  },
  { description: 'How a call stands' },
);

const EndedCall = Type.Object(
  { sessionId, callId, tenantId, endReason: Type.Optional(EndReason) },
  { description: 'A call that is over: the history has it' },
);

/** `event: snapshot` of `/api/voice/events`. */
export const LiveSnapshot = Type.Object(
  { calls: Type.Array(LiveCall, { description: 'Every call that the key may see' }) },
  { description: 'The calls at the moment' },
);
/** `event: changes` of `/api/voice/events`. */
export const LiveChanges = Type.Object(
  {
    changed: Type.Array(LiveCall, { description: 'Calls that are new or have changed, whole' }),
    ended: Type.Array(EndedCall, { description: 'Calls that are over' }),
  },
  { description: 'What has changed since the event before' },
);
/** `event: gap`: what was told before is to be forgotten; all of it follows. */
export const Gap = Type.Object(
  { why: Type.String({ description: 'A sentence' }) },
  { description: 'Something was left out: what follows begins anew' },
);

/** `event: line` of one call. */
export const Line = Type.Object(
  {
    id: Type.Integer({ description: 'Number of the line; what comes again under it takes its place' }),
    atMs: ms('When it was begun, since the session was created: the order of the conversation'),
    role: oneOf(['user', 'agent'], { description: 'Who says it' }),
    text: Type.String({ description: 'All of it, heard or not' }),
    heard: Type.Optional(Type.String({ description: 'What the caller heard of it, once that is known' })),
    cut: Type.Optional(Type.Literal(true, { description: 'Not all of it was heard' })),
    isFinal: Type.Boolean({ description: '`false`: it is being said' }),
    isRemoved: Type.Optional(Type.Literal(true, { description: 'It was no speech: the line goes' })),
  },
  { description: 'What somebody says' },
);

/** `event: event` of one call: an entry of its timeline. */
export const Entry = Type.Object(
  {
    n: Type.Integer({
      description: 'Number of the entry; one that comes again under it, because it counts on, takes its place',
    }),
    atMs: ms('Since the session was created'),
    type: Type.String({ description: 'What happened' }),
  },
  { additionalProperties: true, description: 'Details depend on the type. Nobody is quoted' },
);

/** `event: call` of one call: all that is known of it, to begin with. */
export const FollowedCall = Type.Object(
  {
    ...CallEvents.properties,
    events: Type.Array(Entry, { description: 'In order' }),
    state: LiveCall,
    lines: Type.Optional(
      Type.Array(Line, { description: 'The conversation so far; absent where the key may not see it' }),
    ),
    withheld: Type.Optional(Type.String({ description: 'Why `lines` are absent, where that is not the key' })),
  },
  { description: 'A call, as it is followed' },
);

/** `event: turn` of one call. */
export const FollowedTurn = Turn;
/** `event: end` of one call. The stream ends. */
export const FollowedEnd = Type.Object(
  {
    endReason: Type.Optional(EndReason),
    error: Type.Optional(Type.String({ description: 'Why the call could not go on, where it could not' })),
  },
  { description: 'The call is over' },
);
