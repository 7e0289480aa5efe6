import type { DatabaseSync } from 'node:sqlite';
import type { Look, LookPage, LookSearch } from './records.ts';
import { Statements } from './statements.ts';

interface Row {
  readonly number: number;
  readonly at_ms: number;
  readonly who: string;
  readonly what: Look['what'];
  readonly tenant_id: string;
  readonly session_id: string;
  readonly call_id: string;
}

/** Who has looked at what was said on which call, in one database. */
export class Looks {
  readonly #statements: Statements;

  constructor(database: DatabaseSync) {
    this.#statements = new Statements(database);
  }

  add({ who, what, tenantId, sessionId, callId }: Look, atMs: number): void {
    this.#statements.write(
      'INSERT INTO looks (at_ms, who, what, tenant_id, session_id, call_id) VALUES (?, ?, ?, ?, ?, ?)',
      atMs,
      who,
      what,
      tenantId,
      sessionId,
      callId,
    );
  }

  /** The latest first. */
  search({ who, call, fromMs, toMs, cursor, limit }: LookSearch): LookPage {
    const asked: (readonly [sql: string, value: string | number | undefined])[] = [
      ['number < ?', cursor],
      ['who = ?', who],
      ['(session_id = ?1 OR call_id = ?1)', call],
      ['at_ms >= ?', fromMs],
      ['at_ms < ?', toMs],
    ];
    // The call is named twice, so it comes first, under its number.
    const conditions = asked.filter(([, value]) => value !== undefined);
    conditions.sort(([a], [b]) => Number(b.includes('?1')) - Number(a.includes('?1')));
    const where = conditions.length === 0 ? '' : ` WHERE ${conditions.map(([sql]) => sql).join(' AND ')}`;
    const rows = this.#statements
      .read(`SELECT * FROM looks${where} ORDER BY number DESC LIMIT ?`)
      .all(...conditions.map(([, value]) => value as string | number), limit + 1) as unknown as Row[];
    const page = rows.slice(0, limit);
    return {
      looks: page.map((row) => ({
        at: new Date(row.at_ms).toISOString(),
        who: row.who,
        what: row.what,
        tenantId: row.tenant_id,
        sessionId: row.session_id,
        callId: row.call_id,
      })),
      ...(rows.length > limit ? { nextCursor: page.at(-1)!.number } : {}),
    };
  }

  /** Removes looks before a moment, the oldest first; returns how many. */
  removeBefore(timeMs: number, limit: number): number {
    return this.#statements.write(
      'DELETE FROM looks WHERE number IN (SELECT number FROM looks WHERE at_ms < ? ORDER BY number LIMIT ?)',
      timeMs,
      limit,
    );
  }
}
