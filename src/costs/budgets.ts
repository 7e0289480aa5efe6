const DAY_MS = 86_400_000;
/** The part of a budget after which its operator hears of it. */
const WARN_AT = 0.8;

/** What a tenant has of its budget. */
export interface BudgetState {
  readonly tenantId: string;
  /** What the calls that began today have cost so far. */
  readonly spent: number;
  /** A day's. */
  readonly budget: number;
}

export interface BudgetsOptions {
  /** What a tenant may spend on a day; undefined: as much as it likes. */
  readonly budgetOf: (tenantId: string) => number | undefined;
  /** Told once a tenant and day, when most of the budget is gone. */
  readonly onWarning: (state: BudgetState) => void;
  /** The clock, in milliseconds since the epoch; days are UTC's. */
  readonly now?: () => number;
}

/**
 * What tenants have spent today. A call counts on the day it began, to its end, as it does in the store: so what is read
 * from there at a start goes on here.
 */
export class Budgets {
  readonly #options: BudgetsOptions;
  readonly #spent = new Map<string, { cost: number; isWarned: boolean }>();
  #day = Number.NaN;

  constructor(options: BudgetsOptions) {
    this.#options = options;
  }

  /** @param startedAtMs when the call began that it is for */
  spend(tenantId: string, startedAtMs: number, cost: number): void {
    if (dayOf(startedAtMs) !== this.#today()) return;
    const spent = this.#spent.get(tenantId) ?? { cost: 0, isWarned: false };
    spent.cost += cost;
    this.#spent.set(tenantId, spent);
    if (spent.isWarned) return;
    const state = this.stateOf(tenantId);
    if (!state || state.spent < state.budget * WARN_AT) return;
    spent.isWarned = true;
    this.#options.onWarning(state);
  }

  /** How a tenant stands; undefined: it has no budget. */
  stateOf(tenantId: string): BudgetState | undefined {
    this.#today();
    const budget = this.#options.budgetOf(tenantId);
    return budget === undefined ? undefined : { tenantId, budget, spent: this.#spent.get(tenantId)?.cost ?? 0 };
  }

  /** Of each tenant that has a budget and spent of it today. */
  get states(): BudgetState[] {
    this.#today();
    return [...this.#spent.keys()].flatMap((tenantId) => this.stateOf(tenantId) ?? []);
  }

  /** How a tenant stands that has nothing left, and how long until it has again; undefined: it may spend. */
  overdrawn(tenantId: string): (BudgetState & { readonly waitMs: number }) | undefined {
    const state = this.stateOf(tenantId);
    if (!state || state.spent < state.budget) return undefined;
    return { ...state, waitMs: DAY_MS - (this.#nowMs % DAY_MS) };
  }

  get #nowMs(): number {
    return this.#options.now?.() ?? Date.now();
  }

  #today(): number {
    const day = dayOf(this.#nowMs);
    if (day !== this.#day) {
      this.#day = day;
      this.#spent.clear();
    }
    return day;
  }
}

/** When the UTC day of a moment began. */
export function dayStartMs(timeMs: number): number {
  return dayOf(timeMs) * DAY_MS;
}

function dayOf(timeMs: number): number {
  return Math.floor(timeMs / DAY_MS);
}
