import { type Static, Type } from 'typebox';
import { Figures, Turn } from './event-schemas.ts';
import { EXAMPLE_CALL_ID, type Examples } from './examples.ts';
import { moment } from './moment.ts';
import { AGENT_REF_PATTERN, EndReason, oneOf, SummaryAction } from './schemas.ts';
import { EXAMPLE_USAGE } from './usage-schemas.ts';

/** What the history of calls is asked, and how it answers. */

export const MAX_PAGE = 200;
export const DEFAULT_PAGE = 50;

const ms = (description: string) => Type.Integer({ description });

const Numbers = Type.Optional(
  oneOf(['masked', 'full'], { description: "How callers' numbers are shown; default `masked`: the last two digits" }),
);

export const CallsQuery = Type.Object({
  from: moment('Calls that began then or later: a date, or a time with its zone, as `2025-11-05T15:00:00Z`'),
  to: moment('Calls that began before that'),
  agent: Type.Optional(Type.String({ pattern: AGENT_REF_PATTERN, description: 'Agent profile' })),
  outcome: Type.Optional(
    oneOf([...EndReason.enum, 'unknown'], { description: 'How the call ended; `unknown`: an older version kept it' }),
  ),
  q: Type.Optional(
    Type.String({
      maxLength: 256,
      description:
        "Words that were said, all of them, in any order; or the last digits of the caller's number, two or more; or a `callId`",
    }),
  ),
  cursor: Type.Optional(
    Type.String({
      pattern: '^[0-9]{1,16}$',
      description: '`nextCursor` of the page before; nothing else of the query may change',
    }),
  ),
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MAX_PAGE, description: `Most calls on a page; default ${DEFAULT_PAGE}` }),
  ),
  numbers: Numbers,
  format: Type.Optional(
    oneOf(['json', 'csv', 'jsonl'], {
      description:
        '`csv`, `jsonl`: everything that matches, not a page of it, as a file; default what `Accept` asks for, else `json`',
    }),
  ),
});
export type CallsQuery = Static<typeof CallsQuery>;

export const CallQuery = Type.Object({ numbers: Numbers });

export const KeptCallParams = Type.Object({
  callId: Type.String({
    description: "The call's `sessionId`; or its `callId`, of which the newest is meant",
    examples: [EXAMPLE_CALL_ID],
  }),
});

const callFields = {
  sessionId: Type.String({ description: 'Unique among all calls ever; also the `Idempotency-Key` of its summary' }),
  callId: Type.String({ description: 'What the switch called it' }),
  tenantId: Type.String({ description: 'The tenant it belongs to' }),
  aiAgentRef: Type.String({ description: 'Agent profile' }),
  storeId: Type.Optional(Type.String({ description: 'Store the number belongs to' })),
  callerNumber: Type.Optional(Type.String({ description: 'Its last two digits, or all of it with `numbers=full`' })),
  did: Type.Optional(Type.String({ description: 'Number that was called' })),
  startedAt: Type.String({ format: 'date-time', description: 'When it was created' }),
  endedAt: Type.String({ format: 'date-time', description: 'When it ended' }),
  durationMs: ms('From creation to end'),
  outcome: Type.String({ description: "How it ended: an `endReason`, or `unknown` from an older version's journal" }),
  transferredTo: Type.Optional(Type.String({ description: 'Extension it was transferred to' })),
  encoding: Type.Optional(Type.String({ description: 'Encoding of its audio' })),
  sampleRate: Type.Optional(Type.Integer({ description: 'Sample rate in Hz' })),
  turnCount: Type.Integer({ description: 'Times the caller spoke or pressed keys, and was to be answered' }),
  medianTurnMs: Type.Optional(ms("From the end of speech to the reply's first audio handed over")),
  interruptions: Type.Integer({ description: 'Replies that the caller cut short' }),
  reconnects: Type.Integer({ description: 'Upstream connections that were replaced' }),
  toolCalls: Type.Integer({ description: 'Functions that the AI called' }),
  faultCount: Type.Integer({ description: 'Things that went wrong' }),
  model: Type.Optional(Type.String({ description: 'Model of the conversation' })),
  cost: Type.Optional(Type.Number({ description: 'What it cost, where that is known' })),
  summary: oneOf(['none', 'waiting', 'delivered', 'refused'], {
    description: 'What became of its summary at the W3 backend; `none`: there is no backend',
  }),
  recording: Type.Optional(
    Type.Object(
      {
        durationMs: ms('How long it is'),
        byteCount: Type.Integer({ description: 'Bytes of the file' }),
        isWhole: Type.Boolean({ description: 'False: the disk did not take all of it, or the gateway died' }),
      },
      { description: 'There is a recording of it, see `/api/voice/calls/{callId}/recording`' },
    ),
  ),
};

export const CallPageAnswer = Type.Object(
  {
    calls: Type.Array(Type.Object(callFields, { description: 'A call that is over' }), {
      description: 'Newest first',
    }),
    nextCursor: Type.Optional(Type.String({ description: '`cursor` of the next page; absent on the last one' })),
  },
  { description: 'A page of calls' },
);

const Fault = Type.Object(
  {
    atMs: Type.Number({ description: 'Since the call was created' }),
    type: Type.String({ description: 'What it was' }),
  },
  { additionalProperties: true, description: 'Details depend on the type' },
);

export const KeptCallAnswer = Type.Object(
  {
    ...callFields,
    transcript: Type.Array(Type.String(), { description: '`[User]: …` and `[AI]: …`, in order' }),
    actions: Type.Array(SummaryAction, { description: 'What the AI did beside speaking, in order' }),
    turns: Type.Array(Turn, { description: 'In order, each with its latencies' }),
    faults: Type.Array(Fault, { description: 'The first hundred things that went wrong, as on the timeline' }),
    figures: Type.Optional(Figures),
    error: Type.Optional(Type.String({ description: 'Why the call could not go on, where it could not' })),
    transferReason: Type.Optional(Type.String({ description: 'Why it was transferred, in the words of the AI' })),
  },
  { description: 'Everything that is kept of a call' },
);

const CALL = {
  sessionId: '0d3c8d5e-9d0b-4a39-8a27-6f5a6c1c8f10',
  callId: EXAMPLE_CALL_ID,
  tenantId: '00000000-0000-0000-0000-000000000001',
  aiAgentRef: 'customer-care-voice',
  callerNumber: '…44',
  did: '5406594427',
  startedAt: '2025-11-05T15:00:00.000Z',
  endedAt: '2025-11-05T15:02:00.000Z',
  durationMs: 120_000,
  outcome: 'completed',
  encoding: 'pcm16',
  sampleRate: 16_000,
  turnCount: 1,
  interruptions: 0,
  reconnects: 0,
  toolCalls: 0,
  faultCount: 0,
  model: EXAMPLE_USAGE.model,
  cost: EXAMPLE_USAGE.cost,
  summary: 'none',
};

export const CALLS_EXAMPLES: Examples = {
  last: { summary: 'The last page', value: { calls: [CALL] } },
  more: { summary: 'There are more', value: { calls: [CALL], nextCursor: '1805414400000000' } },
};

export const CSV_EXAMPLES: Examples = {
  csv: {
    summary: 'A line a call, after the names of the columns',
    value:
      'startedAt,endedAt,durationMs,callId,…,transcript\r\n2025-11-05T15:00:00.000Z,2025-11-05T15:02:00.000Z,120000,unique-call-id,…,"[User]: Hello\n[AI]: Hi there!"\r\n',
  },
};

export const JSONL_EXAMPLES: Examples = {
  jsonl: {
    summary: 'A line a call, with everything that is kept of it',
    value:
      '{"sessionId":"0d3c8d5e-9d0b-4a39-8a27-6f5a6c1c8f10","callId":"unique-call-id","transcript":["[User]: Hello"]}\n',
  },
};

export const KEPT_CALL_EXAMPLES: Examples = {
  call: {
    summary: 'A call with one turn',
    value: {
      ...CALL,
      transcript: ['[User]: Hello', '[AI]: Hi there!'],
      actions: [],
      turns: [
        {
          turn: 1,
          trigger: 'speech',
          atMs: 3100.5,
          speechMs: 1480,
          hops: [{ hop: 'handed_over', atMs: 3740.7, tookMs: 640.2 }],
          latencyMs: 640.2,
          status: 'completed',
        },
      ],
      faults: [],
      figures: {
        turns: 1,
        interruptions: 0,
        reconnects: 0,
        toolCalls: 0,
        setupMs: 212.4,
        medianTurnMs: 640.2,
        ...EXAMPLE_USAGE,
        droppedChunks: 0,
        droppedAudioMs: 0,
      },
    },
  },
};
