import type { SummaryRecord } from './call-summary.ts';

/** What became of a summary. */
export type SummaryMark =
  | { readonly kind: 'delivered' }
  | {
      readonly kind: 'refused';
      /** Absent: no request could be made of it. */
      readonly status?: number | undefined;
      /** False: what is wrong is the configuration, so it is tried again after the next start. */
      readonly isFinal: boolean;
    };

export type JournalLine =
  | { readonly kind: 'record'; readonly record: SummaryRecord; readonly isForBackend: boolean }
  | { readonly kind: 'mark'; readonly id: string; readonly mark: SummaryMark };

/** @param isForBackend false: kept for the record only, and never sent */
export function recordLine(record: SummaryRecord, isForBackend: boolean, at: Date): Buffer {
  return Buffer.from(`${JSON.stringify({ at: at.toISOString(), deliver: isForBackend, ...record })}\n`);
}

export function markLine(id: string, mark: SummaryMark, at: Date): Buffer {
  const line =
    mark.kind === 'delivered'
      ? { delivered: id, at: at.toISOString() }
      : { refused: id, status: mark.status, final: mark.isFinal, at: at.toISOString() };
  return Buffer.from(`${JSON.stringify(line)}\n`);
}

/** One line of a journal; undefined when it is not one, because it was torn or damaged. */
export function parseLine(text: string): JournalLine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { delivered, refused, status, final, idempotencyKey, tenantId, summary, deliver } = value as Record<
    string,
    unknown
  >;
  if (typeof delivered === 'string') return { kind: 'mark', id: delivered, mark: { kind: 'delivered' } };
  if (typeof refused === 'string') {
    const known = typeof status === 'number' ? status : undefined;
    return { kind: 'mark', id: refused, mark: { kind: 'refused', status: known, isFinal: final !== false } };
  }
  if (typeof idempotencyKey !== 'string' || typeof tenantId !== 'string') return undefined;
  if (typeof summary !== 'object' || summary === null) return undefined;
  const record = { idempotencyKey, tenantId, summary: summary as SummaryRecord['summary'] };
  return { kind: 'record', record, isForBackend: deliver !== false };
}
