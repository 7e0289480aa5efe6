import type { History } from './history.ts';
import type { CallSearch, KeptCall, NumberStyle } from './records.ts';

const CSV_COLUMNS = [
  'startedAt',
  'endedAt',
  'durationMs',
  'callId',
  'sessionId',
  'tenantId',
  'aiAgentRef',
  'outcome',
  'callerNumber',
  'did',
  'storeId',
  'transferredTo',
  'turnCount',
  'medianTurnMs',
  'interruptions',
  'reconnects',
  'toolCalls',
  'faultCount',
  'model',
  'cost',
  'summary',
] as const;

/** The first line of an export. */
export const CSV_HEADER = `${[...CSV_COLUMNS, 'transcript'].join(',')}\r\n`;

/**
 * A page of calls as lines: CSV (RFC 4180), a line a call with its transcript, or JSON, everything that is kept of it.
 */
export function exportPage(
  history: History,
  search: CallSearch,
  numbers: NumberStyle,
  format: 'csv' | 'jsonl',
): { readonly calls: readonly KeptCall[]; readonly text: string; readonly nextCursor?: number | undefined } {
  const { calls, nextCursor } = history.searchDetails(search, numbers);
  return { calls, text: calls.map(format === 'csv' ? csvLine : jsonLine).join(''), nextCursor };
}

function jsonLine({ details, ...call }: KeptCall): string {
  return `${JSON.stringify({ ...call, ...details })}\n`;
}

function csvLine(call: KeptCall): string {
  const cells = [...CSV_COLUMNS.map((name) => call[name] ?? ''), call.details.transcript.join('\n')];
  return `${cells.map(csvCell).join(',')}\r\n`;
}

function csvCell(value: string | number): string {
  if (typeof value === 'number') return String(value);
  // A spreadsheet would run what a caller said, or a number that begins so, as a formula.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
