import { EXAMPLE_CALL_ID, type Examples } from './examples.ts';

/** What streams of events look like. A test reads them as a client does, and holds them to their schemas. */

const SESSION_ID = '0d3c8d5e-9d0b-4a39-8a27-6f5a6c1c8f10';
const TENANT_ID = '00000000-0000-0000-0000-000000000001';

const CALL = {
  sessionId: SESSION_ID,
  callId: EXAMPLE_CALL_ID,
  tenantId: TENANT_ID,
  status: 'active',
  createdAt: '2025-11-05T15:00:00.000Z',
  transcriptCount: 1,
  actionsCount: 0,
  aiAgentRef: 'customer-care-voice',
  encoding: 'pcm16',
  sampleRate: 16_000,
  generation: 0,
  queuedAudioMs: 1_200,
  callerNumber: '…44',
  did: '5406594427',
  phase: 'agent_speaking',
  turnCount: 1,
  lastTurnMs: 640,
  interruptions: 0,
  reconnects: 0,
  faultCount: 0,
};

const event = (name: string, data: object, id?: string) =>
  `event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;

export const LIST_STREAM_EXAMPLES: Examples = {
  snapshot: {
    summary: 'The calls at the moment',
    value: `retry: 2000\n\n${event('snapshot', { calls: [CALL] }, '4f1a2b3c-17')}`,
  },
  changes: {
    summary: 'A call has ended',
    value: event(
      'changes',
      {
        changed: [],
        ended: [{ sessionId: SESSION_ID, callId: EXAMPLE_CALL_ID, tenantId: TENANT_ID, endReason: 'completed' }],
      },
      '4f1a2b3c-18',
    ),
  },
};

export const CALL_STREAM_EXAMPLES: Examples = {
  line: {
    summary: 'The agent was cut short',
    value: [
      event('event', { n: 14, atMs: 5_120.4, type: 'interrupted', generation: 1, reactionMs: 3.1, heardMs: 900 }),
      event('line', {
        id: 2,
        atMs: 3_300.5,
        role: 'agent',
        text: 'Hi there! How can I help?',
        heard: 'Hi there!',
        cut: true,
        isFinal: true,
      }),
      event(
        'state',
        { ...CALL, generation: 1, queuedAudioMs: 0, phase: 'caller_speaking', interruptions: 1 },
        `${SESSION_ID}.15.4`,
      ),
    ].join(''),
  },
  end: {
    summary: 'The call is over',
    value: event('end', { endReason: 'completed' }),
  },
};
