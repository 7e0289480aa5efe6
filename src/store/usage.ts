import type { DatabaseSync } from 'node:sqlite';
import { TOKEN_TYPES, type TokenType } from '../upstream/usage.ts';
import type { UsageEntry, UsageGroup, UsageQuery, UsageRow } from './records.ts';
import { Statements } from './statements.ts';
import { USAGE_SLOT_MS } from './usage-slot.ts';

const SLOTS_A_DAY = 96;
/** Sums hold nothing personal; whoever writes an invoice may come late. */
const KEPT_DAYS = 400;
/** A call that was counted may come again after a failure of the disk, not much later. */
const COUNTED_DAYS = 7;
const DAY_MS = 86_400_000;
const REMOVED_AT_ONCE = 1_000;

const SUMMED = [
  'calls',
  'duration_ms',
  'audio_up_ms',
  'audio_down_ms',
  ...TOKEN_TYPES,
  'billed_ms',
  'cost',
  'unpriced',
] as const;

const KEYS: Readonly<Record<UsageGroup, string>> = {
  tenant: 'tenant_id',
  agent: 'agent',
  model: 'model',
  day: `strftime('%Y-%m-%d', (slot / ${SLOTS_A_DAY}) * 86400, 'unixepoch')`,
};

type Sums = Readonly<Record<(typeof SUMMED)[number], number>>;

/** What calls used, summed by quarter of an hour, tenant, agent and model. Forgetting a caller changes none of it. */
export class UsageSums {
  readonly #statements: Statements;

  constructor(database: DatabaseSync) {
    this.#statements = new Statements(database);
  }

  /** Adds what a call used, once, however often it comes. */
  add(sessionId: string, entry: UsageEntry, nowMs: number): void {
    const counted = this.#statements.write(
      'INSERT INTO counted (session_id, at_ms) VALUES (?, ?) ON CONFLICT DO NOTHING',
      sessionId,
      nowMs,
    );
    if (counted === 0) return;
    // A call counts with the model that it was held with, whether that said anything or not.
    const models = entry.models.some(({ model }) => model === entry.model)
      ? entry.models
      : [{ model: entry.model, tokens: {}, seconds: 0, cost: 0 }, ...entry.models];
    for (const used of models) this.#add(entry, used);
  }

  /** The sums that a query asks for, a row a group, in the order of their names; one row without a name: of everything. */
  read({ tenantId, fromMs, toMs, by }: UsageQuery): UsageRow[] {
    const name = by === undefined ? "''" : KEYS[by];
    const sums = SUMMED.map((column) => `coalesce(sum(${column}), 0) AS ${column}`);
    const rows = this.#statements
      .read(
        `SELECT ${name} AS name, ${sums} FROM usage
         WHERE slot >= ? AND slot < ? AND (?3 IS NULL OR tenant_id = ?3) ${by === undefined ? '' : 'GROUP BY 1 ORDER BY 1'}`,
      )
      .all(slotOf(fromMs), slotOf(toMs), tenantId ?? null) as unknown as (Sums & { readonly name: string })[];
    return rows.map(rowOf);
  }

  /** Removes what is out of date; returns whether there may be more. */
  sweep(nowMs: number): boolean {
    const sums = this.#statements.write(
      `DELETE FROM usage WHERE (slot, tenant_id, agent, model) IN
       (SELECT slot, tenant_id, agent, model FROM usage WHERE slot < ? LIMIT ${REMOVED_AT_ONCE})`,
      slotOf(nowMs - KEPT_DAYS * DAY_MS),
    );
    const counted = this.#statements.write(
      `DELETE FROM counted WHERE session_id IN (SELECT session_id FROM counted WHERE at_ms < ? LIMIT ${REMOVED_AT_ONCE})`,
      nowMs - COUNTED_DAYS * DAY_MS,
    );
    return sums === REMOVED_AT_ONCE || counted === REMOVED_AT_ONCE;
  }

  #add(entry: UsageEntry, { model, tokens, seconds, cost }: UsageEntry['models'][number]): void {
    const isOfCall = model === entry.model;
    const counts = TOKEN_TYPES.map((type) => tokens[type] ?? 0);
    const columns = ['slot', 'tenant_id', 'agent', 'model', ...SUMMED];
    const updates = SUMMED.map((column) => `${column} = ${column} + excluded.${column}`);
    this.#statements.write(
      `INSERT INTO usage (${columns}) VALUES (${columns.map(() => '?')})
       ON CONFLICT (slot, tenant_id, agent, model) DO UPDATE SET ${updates}`,
      slotOf(entry.startedAtMs),
      entry.tenantId,
      entry.aiAgentRef,
      model,
      isOfCall ? 1 : 0,
      isOfCall ? Math.round(entry.durationMs) : 0,
      isOfCall ? Math.round(entry.audioUpMs) : 0,
      isOfCall ? Math.round(entry.audioDownMs) : 0,
      ...counts,
      Math.round(seconds * 1000),
      cost ?? 0,
      cost === undefined ? counts.reduce((sum, count) => sum + count, 0) + Math.ceil(seconds) : 0,
    );
  }
}

function slotOf(timeMs: number): number {
  return Math.floor(timeMs / USAGE_SLOT_MS);
}

function rowOf({ name, ...sums }: Sums & { readonly name: string }): UsageRow {
  return {
    name,
    calls: sums.calls,
    durationSeconds: sums.duration_ms / 1000,
    audioSeconds: { up: sums.audio_up_ms / 1000, down: sums.audio_down_ms / 1000 },
    tokens: Object.fromEntries(TOKEN_TYPES.map((type) => [type, sums[type]])) as Record<TokenType, number>,
    seconds: sums.billed_ms / 1000,
    // Sums of fractions have no end.
    cost: Math.round(sums.cost * 1_000_000) / 1_000_000,
    unpriced: sums.unpriced,
  };
}
