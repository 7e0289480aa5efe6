import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { Budgets, dayStartMs } from '../costs/budgets.ts';
import type { Costs } from '../costs/call-costs.ts';
import { Prices } from '../costs/prices.ts';
import type { KeyRing } from '../http/key-ring.ts';
import type { CallStore } from '../workers/store/call-store.ts';

const DAY_MS = 86_400_000;

/**
 * Reads the prices, and what tenants have spent today.
 * @throws {Error} when PRICES_FILE is no list of prices
 */
export async function openCosts({ env }: Config, keys: KeyRing, store: CallStore, log: Logger): Promise<Costs> {
  const prices = Prices.open(env.PRICES_FILE);
  const budgets = new Budgets({
    budgetOf: (tenantId) => keys.budgetOf(tenantId) ?? env.BUDGET_PER_DAY,
    onWarning: ({ tenantId, spent, budget }) => {
      const fields = { tenantId, spent: Number(spent.toFixed(6)), budget, currency: prices.currency };
      log.warn(fields, "most of a tenant's budget for today is spent");
    },
  });
  const fromMs = dayStartMs(Date.now());
  try {
    const today = { tenantId: undefined, fromMs, toMs: fromMs + DAY_MS, by: 'tenant' } as const;
    for (const { name, cost } of await store.usage(today)) budgets.spend(name, fromMs, cost);
  } catch (error) {
    const why = (error as Error).message;
    log.warn({ why }, 'what tenants spent today cannot be read: their budgets begin anew');
  }
  return { prices, budgets };
}
