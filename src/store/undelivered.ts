import type { DatabaseSync } from 'node:sqlite';
import type { OutgoingSummary, SummaryMark } from './records.ts';
import { numberKey } from './search.ts';
import { Statements } from './statements.ts';

/** Summaries that the backend does not have yet, in one database. */
export class Undelivered {
  readonly #statements: Statements;

  constructor(database: DatabaseSync) {
    this.#statements = new Statements(database);
  }

  /** Adds a summary, unless it is there. */
  add(id: string, { tenantId, callerNumber, body }: OutgoingSummary): void {
    this.#statements.write(
      `INSERT INTO undelivered (id, tenant_id, caller_key, summary) VALUES (?, ?, ?, ?)
       ON CONFLICT (id) DO NOTHING`,
      id,
      tenantId,
      callerNumber === null ? null : numberKey(callerNumber),
      body,
    );
  }

  /** @returns undefined when it is not there; an empty body when it was forgotten */
  read(id: string): { readonly tenantId: string; readonly body: string } | undefined {
    const row = this.#statements.read('SELECT tenant_id, summary FROM undelivered WHERE id = ?').get(id);
    return row && { tenantId: row['tenant_id'] as string, body: row['summary'] as string };
  }

  /** All of them, the oldest first. */
  ids(): string[] {
    const rows = this.#statements.read("SELECT id FROM undelivered WHERE summary != '' ORDER BY number").all();
    return rows.map((row) => row['id'] as string);
  }

  /** @returns whether it is out of the list: what only the configuration kept from being sent stays in it */
  settle(id: string, mark: SummaryMark): boolean {
    if (mark.kind === 'refused' && !mark.isFinal) {
      this.#statements.write('UPDATE undelivered SET refused_status = ? WHERE id = ?', mark.status ?? 0, id);
      return false;
    }
    this.#statements.write('DELETE FROM undelivered WHERE id = ?', id);
    return true;
  }

  /** Leaves nothing of a caller's summaries but their ids: whoever is about to send one is to know that it may not. */
  forget(number: string): number {
    return this.#statements.write(
      "UPDATE undelivered SET summary = '', caller_key = NULL WHERE caller_key = ?",
      numberKey(number),
    );
  }
}
