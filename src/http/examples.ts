import { EXAMPLE_USAGE } from './usage-schemas.ts';

/**
 * The examples of the OpenAPI document. They are replayed against a daemon by a test, so what they show is what happens.
 * A few samples of silence stand for audio where a whole chunk would only fill the page.
 */

/** The call that the examples speak of. */
export const EXAMPLE_CALL_ID = 'unique-call-id';

const SILENCE = 'AAAA'.repeat(8);

/** Examples of a media type, by name, as OpenAPI has them. */
export type Examples = Record<string, { readonly summary: string; readonly value: unknown }>;

export const CREATE_EXAMPLES: Examples = {
  full: {
    summary: 'Everything the switch knows of the call',
    value: {
      callId: EXAMPLE_CALL_ID,
      tenantId: '00000000-0000-0000-0000-000000000001',
      storeId: '50000000-0000-0000-0000-000000000010',
      did: '5406594427',
      callerNumber: '393297626144',
      aiAgentRef: 'customer-care-voice',
    },
  },
  minimal: { summary: 'Only what is required', value: { callId: EXAMPLE_CALL_ID } },
  g711: {
    summary: 'A call that stays in G.711 mu-law from end to end',
    value: { callId: EXAMPLE_CALL_ID, encoding: 'pcmu', sampleRate: 8000 },
  },
};

export const CREATE_ANSWER_EXAMPLES: Examples = {
  created: {
    summary: 'A new session',
    value: { sessionId: EXAMPLE_CALL_ID, status: 'created', nextChunkSeq: 0 },
  },
  existing: {
    summary: 'The call had one already',
    value: { sessionId: EXAMPLE_CALL_ID, status: 'existing', nextChunkSeq: 42 },
  },
};

export const STREAM_EXAMPLES: Examples = {
  chunk: { summary: 'A chunk of the caller', value: { audio: SILENCE } },
  numbered: { summary: 'A numbered chunk, which may be sent again', value: { audio: SILENCE, chunkSeq: 0 } },
  dtmf: { summary: 'Keys the caller pressed', value: { dtmf: '4711#' } },
  played: {
    summary: 'With what the caller has heard of the reply',
    value: { audio: SILENCE, playedMs: 1240, generation: 0 },
  },
};

export const STREAM_ANSWER_EXAMPLES: Examples = {
  streamed: { summary: 'Taken', value: { status: 'streamed', generation: 0 } },
  interrupted: {
    summary: 'Taken; the caller has interrupted since the last answer',
    value: { status: 'streamed', generation: 1, interrupted: true },
  },
  poll: {
    summary: 'With `poll=1`: taken, and what was queued',
    value: {
      status: 'streamed',
      audio: SILENCE,
      transcript: '[AI]: Hello, how can I help you?',
      seq: 12,
      generation: 0,
      hasMore: true,
    },
  },
};

export const POLL_ANSWER_EXAMPLES: Examples = {
  speech: {
    summary: 'Something to play, and what is certain of the conversation',
    value: {
      audio: SILENCE,
      transcript: '[User]: Hello\n[AI]: Hi there!',
      seq: 12,
      generation: 0,
      hasMore: true,
    },
  },
  nothing: { summary: 'Nothing within `timeout`', value: { seq: 12, generation: 0, hasMore: true } },
  interrupted: {
    summary: 'The caller interrupted: flush, then play what this brings',
    value: { seq: 12, generation: 1, interrupted: true, hasMore: true },
  },
  transfer: {
    summary: 'To be carried out after everything before it was played',
    value: {
      actions: [
        {
          id: '5f0c1b1e-6f6d-4f5a-9d0a-0a5a4f0e8b11',
          type: 'transfer',
          extension: '200',
          reason: 'The caller asked for a person',
        },
      ],
      seq: 31,
      generation: 0,
      hasMore: true,
    },
  },
  over: {
    summary: 'The session has ended and everything was delivered',
    value: { seq: 31, generation: 0, hasMore: false, endReason: 'transferred' },
  },
};

export const END_ANSWER_EXAMPLES: Examples = {
  ended: {
    summary: 'The summary of the call',
    value: {
      status: 'ended',
      summary: {
        callId: EXAMPLE_CALL_ID,
        duration: 120_000,
        transcript: ['[User]: Hello', '[AI]: Hi there!'],
        actions: [],
        endReason: 'completed',
        aiAgentRef: 'customer-care-voice',
        usage: EXAMPLE_USAGE,
      },
    },
  },
};

const SESSION = {
  callId: EXAMPLE_CALL_ID,
  tenantId: '00000000-0000-0000-0000-000000000001',
  status: 'active',
  createdAt: '2025-11-05T15:00:00.000Z',
  lastActivity: '2025-11-05T15:01:00.000Z',
  transcriptCount: 5,
  actionsCount: 2,
  aiAgentRef: 'customer-care-voice',
  encoding: 'pcm16',
  sampleRate: 16_000,
  generation: 0,
  queuedAudioMs: 0,
};

export const SESSION_EXAMPLES: Examples = { active: { summary: 'A call that goes on', value: SESSION } };
export const LIST_EXAMPLES: Examples = { one: { summary: 'One call', value: { sessions: [SESSION], count: 1 } } };

export const EVENTS_EXAMPLES: Examples = {
  turn: {
    summary: 'A call with one turn',
    value: {
      callId: EXAMPLE_CALL_ID,
      tenantId: '00000000-0000-0000-0000-000000000001',
      sessionId: '0d3c8d5e-9d0b-4a39-8a27-6f5a6c1c8f10',
      aiAgentRef: 'customer-care-voice',
      encoding: 'pcm16',
      sampleRate: 16_000,
      status: 'active',
      createdAt: '2025-11-05T15:00:00.000Z',
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
      turns: [
        {
          turn: 1,
          trigger: 'speech',
          atMs: 3100.5,
          speechMs: 1480,
          hops: [
            { hop: 'first_delta', atMs: 3690.1, tookMs: 480.3 },
            { hop: 'handed_over', atMs: 3740.7, tookMs: 48.9 },
          ],
          latencyMs: 640.2,
          status: 'completed',
        },
      ],
      events: [{ atMs: 212.4, type: 'ready', connectMs: 180.1, attempt: 1 }],
      omittedEvents: 0,
    },
  },
};

export const HEALTH_EXAMPLES: Examples = {
  ok: {
    summary: 'Running',
    value: { status: 'ok', version: '0.1.0', uptimeSeconds: 3600, upstream: 'openai', sessions: 3 },
  },
};
export const READY_EXAMPLES: Examples = { ready: { summary: 'Taking calls', value: { ready: true } } };
export const NOT_READY_EXAMPLES: Examples = {
  draining: {
    summary: 'Shutting down',
    value: { ready: false, reason: 'the gateway is shutting down: send the call elsewhere' },
  },
};
