import type { SummaryRecord } from '../../backend/summaries/call-summary.ts';
import type { Summary } from '../../http/schemas.ts';
import type { Session } from '../session.ts';

/** What the W3 backend is told of a call. */
export function summaryRecord(session: Session, summary: Summary): SummaryRecord {
  const { tenantId, aiAgentRef, body } = session.setup;
  const { transferred } = session;
  return {
    tenantId,
    // Another call may have the same callId, but never the same session.
    idempotencyKey: session.id,
    summary: {
      callId: body.callId,
      sessionId: session.id,
      aiAgentRef,
      storeId: body.storeId ?? null,
      callerNumber: body.callerNumber ?? null,
      didNumber: body.did ?? null,
      startTs: session.createdAt.toISOString(),
      endTs: (session.endedAt ?? new Date()).toISOString(),
      durationSeconds: Math.round(summary.duration / 1000),
      transcript: summary.transcript,
      actionsTaken: summary.actions,
      transferredTo: transferred?.extension ?? null,
      transferReason: transferred?.reason ?? null,
    },
  };
}
