import { randomUUID } from 'node:crypto';
import type { CallSummary } from '../../../src/backend/summaries/call-summary.ts';
import { EXAMPLE_USAGE } from '../../../src/http/usage-schemas.ts';
import type { HistoryCall, StoreEntry } from '../../../src/store/records.ts';
import { wordsOf } from '../../../src/store/words.ts';

export function callSummary(callId = 'call-1'): CallSummary {
  return {
    callId,
    sessionId: callId,
    aiAgentRef: 'care',
    storeId: 'store-7',
    callerNumber: '+393297626144',
    didNumber: '5406594427',
    startTs: '2025-11-05T15:00:00.000Z',
    endTs: '2025-11-05T15:02:00.000Z',
    durationSeconds: 120,
    transcript: ['[User]: Perché?', '[AI]: Così.'],
    actionsTaken: [{ name: 'transfer_to_extension', arguments: { extension: '200' }, outcome: 'ok', durationMs: 3 }],
    transferredTo: '200',
    transferReason: 'asked for a person',
    usage: EXAMPLE_USAGE,
  };
}

export function historyCall(call: Partial<HistoryCall> & { transcript?: readonly string[] } = {}): HistoryCall {
  const { transcript = callSummary().transcript, ...rest } = call;
  const details = { transcript, actions: [], turns: [], faults: [], figures: { turns: 1 } };
  return {
    tenantId: 'acme',
    callId: 'call-1',
    aiAgentRef: 'care',
    outcome: 'completed',
    storeId: 'store-7',
    callerNumber: '+393297626144',
    didNumber: '5406594427',
    transferredTo: null,
    encoding: 'pcm16',
    sampleRateHz: 16_000,
    startedAtMs: Date.now() - 120_000,
    endedAtMs: Date.now(),
    durationMs: 120_000,
    turnCount: 1,
    medianTurnMs: 640,
    interruptionCount: 0,
    reconnectCount: 0,
    toolCallCount: 0,
    faultCount: 0,
    model: 'gpt-realtime-2.1',
    cost: null,
    details: JSON.stringify(details),
    words: wordsOf(transcript),
    ...rest,
  };
}

/** A call with a summary that is to be delivered. */
export function storeEntry(callId = 'call-1', id: string = randomUUID()): StoreEntry {
  const summary = callSummary(callId);
  const { callerNumber } = summary;
  return {
    id,
    call: historyCall({ callId }),
    summary: { tenantId: 'acme', callerNumber, body: JSON.stringify(summary) },
    summaryState: 'waiting',
  };
}
