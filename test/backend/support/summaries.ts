import { randomUUID } from 'node:crypto';
import type { SummaryRecord } from '../../../src/backend/summaries/call-summary.ts';

export function summaryRecord(callId = 'call-1', idempotencyKey: string = randomUUID()): SummaryRecord {
  return {
    tenantId: 'acme',
    idempotencyKey,
    summary: {
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
    },
  };
}
