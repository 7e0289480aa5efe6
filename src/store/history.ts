import type { DatabaseSync } from 'node:sqlite';
import { toStoreError } from './errors.ts';
import type {
  CallDetails,
  CallPage,
  CallSearch,
  HistoryCall,
  KeptCall,
  ListedCall,
  NumberStyle,
  SummaryState,
} from './records.ts';
import { facetsOf, IDS_A_MS, idRange, matchExpression, numberKey, numberPrefix } from './search.ts';
import { Statements } from './statements.ts';

const COLUMNS = [
  'session_id',
  'tenant_id',
  'call_id',
  'agent',
  'outcome',
  'store_id',
  'caller',
  'caller_key',
  'did',
  'transferred_to',
  'encoding',
  'sample_rate',
  'ended_at_ms',
  'duration_ms',
  'turns',
  'median_turn_ms',
  'interruptions',
  'reconnects',
  'tool_calls',
  'faults',
  'model',
  'cost',
  'summary',
];

interface Row {
  readonly id: number;
  readonly session_id: string;
  readonly tenant_id: string;
  readonly call_id: string;
  readonly agent: string;
  readonly outcome: string;
  readonly store_id: string | null;
  readonly caller: string | null;
  readonly did: string | null;
  readonly transferred_to: string | null;
  readonly encoding: string | null;
  readonly sample_rate: number | null;
  readonly ended_at_ms: number;
  readonly duration_ms: number;
  readonly turns: number;
  readonly median_turn_ms: number | null;
  readonly interruptions: number;
  readonly reconnects: number;
  readonly tool_calls: number;
  readonly faults: number;
  readonly model: string | null;
  readonly cost: number | null;
  readonly summary: SummaryState;
  readonly recorded_ms: number | null;
  readonly recorded_bytes: number | null;
  readonly is_whole: number | null;
}

/** A call's own columns, and those of its recording. */
const SELECTED = 'calls.*, recorded_ms, recorded_bytes, is_whole';
const WITH_RECORDING = 'calls LEFT JOIN recordings USING (session_id)';

/** The calls that are over, in one database. */
export class History {
  readonly #statements: Statements;

  constructor(database: DatabaseSync) {
    this.#statements = new Statements(database);
  }

  /** Adds a call, unless it is there. */
  add(sessionId: string, call: HistoryCall, summary: SummaryState): void {
    const id = this.#freeId(call.startedAtMs);
    const names = ['id', ...COLUMNS];
    const changes = this.#statements.write(
      `INSERT INTO calls (${names}) VALUES (${names.map(() => '?')}) ON CONFLICT (session_id) DO NOTHING`,
      id,
      sessionId,
      call.tenantId,
      call.callId,
      call.aiAgentRef,
      call.outcome,
      call.storeId,
      call.callerNumber,
      call.callerNumber === null ? null : numberKey(call.callerNumber),
      call.didNumber,
      call.transferredTo,
      call.encoding,
      call.sampleRateHz,
      call.endedAtMs,
      call.durationMs,
      call.turnCount,
      call.medianTurnMs,
      call.interruptionCount,
      call.reconnectCount,
      call.toolCallCount,
      call.faultCount,
      call.model,
      call.cost,
      summary,
    );
    if (changes === 0) return;
    this.#statements.write('INSERT INTO details (id, json) VALUES (?, ?)', id, call.details);
    this.#statements.write(
      'INSERT INTO words (rowid, facets, text) VALUES (?, ?, ?)',
      id,
      facetsOf(call.tenantId, call.aiAgentRef, call.outcome),
      call.words,
    );
  }

  /** Notes what became of a call's summary. */
  mark(sessionId: string, summary: SummaryState): void {
    this.#statements.write('UPDATE calls SET summary = ? WHERE session_id = ?', summary, sessionId);
  }

  /** Calls that match, newest first. */
  search(search: CallSearch, numbers: NumberStyle): CallPage {
    const ids = this.#ids({ ...search, limit: search.limit + 1 });
    const page = ids.slice(0, search.limit);
    const read = this.#statements.read(`SELECT ${SELECTED} FROM ${WITH_RECORDING} WHERE calls.id = ?`);
    const calls = page.flatMap((id) => {
      const row = read.get(id) as unknown as Row | undefined;
      return row ? [listed(row, numbers)] : [];
    });
    return { calls, ...(ids.length > search.limit ? { nextCursor: page.at(-1) } : {}) };
  }

  /**
   * One call, with everything that is kept of it.
   * @param name its session's id, or its callId, of which the newest counts
   * @returns several tenants' newest when it is a callId that more than one of them used
   */
  find(tenantId: string | undefined, name: string, numbers: NumberStyle): KeptCall[] {
    const rows = this.#statements
      .read(
        `SELECT ${SELECTED}, details.json, max(calls.id) FROM ${WITH_RECORDING} JOIN details ON details.id = calls.id
       WHERE (session_id = ?1 OR call_id = ?1) AND (?2 IS NULL OR tenant_id = ?2) GROUP BY tenant_id`,
      )
      .all(name, tenantId ?? null) as unknown as (Row & { json: string })[];
    return rows.map((row) => ({ ...listed(row, numbers), details: JSON.parse(row.json) as CallDetails }));
  }

  /** As {@link search}, with everything that is kept of each. */
  searchDetails(search: CallSearch, numbers: NumberStyle): { calls: KeptCall[]; nextCursor?: number | undefined } {
    const { calls, nextCursor } = this.search(search, numbers);
    const read = this.#statements.read('SELECT json FROM details JOIN calls USING (id) WHERE session_id = ?');
    return {
      calls: calls.map((call) => {
        const { json } = read.get(call.sessionId) as { json: string };
        return { ...call, details: JSON.parse(json) as CallDetails };
      }),
      nextCursor,
    };
  }

  /** Removes calls that began before a moment, the oldest first; returns how many. */
  removeBefore(timeMs: number, limit: number): number {
    const rows = this.#statements
      .read('SELECT id FROM calls WHERE id < ? ORDER BY id LIMIT ?')
      .all(timeMs * IDS_A_MS, limit) as unknown as { id: number }[];
    return this.#remove(rows.map(({ id }) => id));
  }

  /** Removes the calls of one caller; returns how many. */
  removeCaller(number: string): number {
    const rows = this.#statements
      .read('SELECT id FROM calls WHERE caller_key = ?')
      .all(numberKey(number)) as unknown as {
      id: number;
    }[];
    return this.#remove(rows.map(({ id }) => id));
  }

  get count(): number {
    return (this.#statements.read('SELECT count(*) AS count FROM calls').get() as { count: number }).count;
  }

  #remove(ids: readonly number[]): number {
    for (const id of ids) {
      this.#statements.write('DELETE FROM words WHERE rowid = ?', id);
      this.#statements.write('DELETE FROM details WHERE id = ?', id);
      this.#statements.write('DELETE FROM calls WHERE id = ?', id);
    }
    return ids.length;
  }

  #freeId(startedAtMs: number): number {
    const first = Math.max(0, Math.floor(startedAtMs)) * IDS_A_MS;
    const { last } = this.#statements
      .read('SELECT max(id) AS last FROM calls WHERE id >= ? AND id < ?')
      .get(first, first + IDS_A_MS) as { last: number | null };
    return last === null ? first : last + 1;
  }

  #ids(search: CallSearch): number[] {
    const { first, last } = idRange(search);
    const { limit, q } = search;
    const match = matchExpression(search);
    const read = (sql: string, ...values: (string | number)[]) =>
      this.#statements
        .read(`${sql} ORDER BY id DESC LIMIT ?`)
        .all(...values, limit)
        .map((row) => row['id'] as number);
    const range = 'id >= ? AND id < ?';
    const asked = q?.trim() ?? '';
    if (asked === '') {
      if (match === undefined) return read(`SELECT id FROM calls WHERE ${range}`, first, last);
      return this.#matching(match, first, last, limit);
    }
    const found = new Set<number>();
    const hasWords = match !== undefined && match !== matchExpression({ ...search, q: undefined });
    if (hasWords) for (const id of this.#matching(match, first, last, limit)) found.add(id);
    const { sql, values } = filters(search);
    const prefix = numberPrefix(asked);
    if (prefix !== undefined) {
      const where = `SELECT id FROM calls WHERE caller_key >= ? AND caller_key < ? AND ${range}${sql}`;
      // `:` is what comes after the digits.
      for (const id of read(where, prefix, `${prefix}:`, first, last, ...values)) found.add(id);
    }
    const named = `SELECT id FROM calls WHERE call_id = ? AND ${range}${sql}`;
    for (const id of read(named, asked, first, last, ...values)) found.add(id);
    return [...found].sort((a, b) => b - a).slice(0, limit);
  }

  #matching(match: string, first: number, last: number, limit: number): number[] {
    const statement = this.#statements.read(
      'SELECT rowid AS id FROM words WHERE words MATCH ? AND rowid >= ? AND rowid < ? ORDER BY rowid DESC LIMIT ?',
    );
    try {
      return statement.all(match, first, last, limit).map((row) => row['id'] as number);
    } catch (error) {
      // A script younger than the index's Unicode: what we take for one word is two to it, and phrases it has none.
      if (toStoreError(error, 'search').code === 'store_refused') return [];
      throw error;
    }
  }
}

/** What a search asks beside words, as a condition on a call's own columns. */
function filters({ tenantId, agent, outcome }: CallSearch): { sql: string; values: string[] } {
  const asked = Object.entries({ tenant_id: tenantId, agent, outcome }).filter(([, value]) => value !== undefined);
  return {
    sql: asked.map(([column]) => ` AND ${column} = ?`).join(''),
    values: asked.map(([, value]) => value as string),
  };
}

function listed(row: Row, numbers: NumberStyle): ListedCall {
  return {
    sessionId: row.session_id,
    callId: row.call_id,
    tenantId: row.tenant_id,
    aiAgentRef: row.agent,
    ...(row.store_id === null ? {} : { storeId: row.store_id }),
    ...(row.caller === null ? {} : { callerNumber: numbers === 'full' ? row.caller : `…${row.caller.slice(-2)}` }),
    ...(row.did === null ? {} : { did: row.did }),
    startedAt: new Date(Math.floor(row.id / IDS_A_MS)).toISOString(),
    endedAt: new Date(row.ended_at_ms).toISOString(),
    durationMs: row.duration_ms,
    outcome: row.outcome,
    ...(row.transferred_to === null ? {} : { transferredTo: row.transferred_to }),
    ...(row.encoding === null ? {} : { encoding: row.encoding }),
    ...(row.sample_rate === null ? {} : { sampleRate: row.sample_rate }),
    turnCount: row.turns,
    ...(row.median_turn_ms === null ? {} : { medianTurnMs: row.median_turn_ms }),
    interruptions: row.interruptions,
    reconnects: row.reconnects,
    toolCalls: row.tool_calls,
    faultCount: row.faults,
    ...(row.model === null ? {} : { model: row.model }),
    ...(row.cost === null ? {} : { cost: row.cost }),
    summary: row.summary,
    ...(row.recorded_ms === null || row.recorded_bytes === null
      ? {}
      : {
          recording: {
            durationMs: row.recorded_ms,
            byteCount: row.recorded_bytes,
            isWhole: row.is_whole === 1,
          },
        }),
  };
}
