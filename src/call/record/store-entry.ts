import type { CallSummary } from '../../backend/summaries/call-summary.ts';
import type { CallDetails, HistoryCall, StoreEntry, UsageEntry } from '../../store/records.ts';
import { wordsOf } from '../../store/words.ts';
import { traceHeaders } from '../../traces/context.ts';
import type { Session } from '../session.ts';
import { isFault } from './faults.ts';
import type { Summary } from './record.ts';

/** A call whose client sends nothing but noise has one a chunk. */
const MAX_FAULTS = 100;

/** What is kept of a call that is over. */
export interface Kept {
  /** There is a backend that is to have its summary. */
  readonly isForBackend: boolean;
  readonly hasHistory: boolean;
}

export function storeEntry(session: Session, summary: Summary, { isForBackend, hasHistory }: Kept): StoreEntry {
  const body = callSummary(session, summary);
  const { tenantId } = session.setup;
  return {
    id: session.id,
    ...(hasHistory ? { call: historyCall(session, summary, body) } : {}),
    usage: usageEntry(session, summary),
    ...(isForBackend ? { summary: { tenantId, callerNumber: body.callerNumber, body: JSON.stringify(body) } } : {}),
    summaryState: isForBackend ? 'waiting' : 'none',
  };
}

/** What the W3 backend is told of a call. */
function callSummary(session: Session, summary: Summary): CallSummary {
  const { aiAgentRef, request } = session.setup;
  const { transferred } = session;
  return {
    callId: request.callId,
    sessionId: session.id,
    aiAgentRef,
    storeId: request.storeId ?? null,
    callerNumber: request.callerNumber ?? null,
    didNumber: request.did ?? null,
    startTs: session.createdAt.toISOString(),
    endTs: (session.endedAt ?? new Date()).toISOString(),
    durationSeconds: Math.round(summary.duration / 1000),
    transcript: summary.transcript,
    actionsTaken: summary.actions,
    transferredTo: transferred?.extension ?? null,
    transferReason: transferred?.reason ?? null,
    usage: summary.usage,
    ...(session.trace ? { trace: traceHeaders(session.trace) } : {}),
  };
}

function usageEntry({ setup, createdAt }: Session, { usage, duration }: Summary): UsageEntry {
  const { tenantId, aiAgentRef } = setup;
  const { model, models, audioSeconds } = usage;
  return {
    tenantId,
    aiAgentRef,
    model,
    startedAtMs: createdAt.getTime(),
    durationMs: duration,
    audioUpMs: audioSeconds.up * 1000,
    audioDownMs: audioSeconds.down * 1000,
    models,
  };
}

function historyCall(session: Session, summary: Summary, body: CallSummary): HistoryCall {
  const { setup, error } = session;
  const { figures, turns, events } = session.observer.report;
  const faults = events.filter(isFault);
  const details: CallDetails = {
    transcript: summary.transcript,
    actions: summary.actions,
    turns,
    faults: faults.slice(0, MAX_FAULTS),
    figures,
    ...(error === undefined ? {} : { error }),
    ...(body.transferReason === null ? {} : { transferReason: body.transferReason }),
  };
  return {
    tenantId: setup.tenantId,
    callId: body.callId,
    aiAgentRef: body.aiAgentRef,
    outcome: summary.endReason,
    storeId: body.storeId,
    callerNumber: body.callerNumber,
    didNumber: body.didNumber,
    transferredTo: body.transferredTo,
    encoding: setup.formats.call.encoding,
    sampleRateHz: setup.formats.call.sampleRateHz,
    startedAtMs: session.createdAt.getTime(),
    endedAtMs: Date.parse(body.endTs),
    durationMs: summary.duration,
    turnCount: figures.turns,
    medianTurnMs: figures.medianTurnMs ?? null,
    interruptionCount: figures.interruptions,
    reconnectCount: figures.reconnects,
    toolCallCount: figures.toolCalls,
    faultCount: faults.length,
    model: summary.usage.model,
    cost: summary.usage.cost ?? null,
    details: JSON.stringify(details),
    words: wordsOf(summary.transcript),
  };
}
