import { expect, it } from 'vitest';
import { type BudgetState, Budgets } from '../../src/costs/budgets.ts';

const DAY_MS = 86_400_000;
const MORNING = 20_000 * DAY_MS + 7 * 3_600_000;

function budgets(): { budgets: Budgets; warnings: BudgetState[]; clock: { nowMs: number } } {
  const clock = { nowMs: MORNING };
  const warnings: BudgetState[] = [];
  return {
    clock,
    warnings,
    budgets: new Budgets({
      budgetOf: (tenantId) => (tenantId === 'free' ? undefined : tenantId === 'barred' ? 0 : 10),
      onWarning: (state) => void warnings.push(state),
      now: () => clock.nowMs,
    }),
  };
}

it('warns once at four fifths, and is overdrawn when nothing is left, until the next day', () => {
  const { budgets: tenants, warnings, clock } = budgets();
  tenants.spend('acme', MORNING, 7.9);
  expect(warnings).toEqual([]);
  tenants.spend('acme', MORNING, 0.2);
  tenants.spend('acme', MORNING, 0.2);
  expect(warnings).toMatchObject([{ tenantId: 'acme', spent: 8.1, budget: 10 }]);
  expect(tenants.overdrawn('acme')).toBeUndefined();
  tenants.spend('acme', MORNING, 1.8);
  expect(tenants.overdrawn('acme')).toMatchObject({ budget: 10, waitMs: 17 * 3_600_000 });
  expect(tenants.states).toMatchObject([{ tenantId: 'acme', budget: 10 }]);
  clock.nowMs += 17 * 3_600_000;
  expect(tenants.overdrawn('acme')).toBeUndefined();
  expect(tenants.states).toEqual([]);
  tenants.spend('acme', clock.nowMs, 9);
  expect(warnings).toHaveLength(2);
});

it('counts a call on the day it began', () => {
  const { budgets: tenants, clock } = budgets();
  clock.nowMs = MORNING + DAY_MS;
  tenants.spend('acme', MORNING, 100);
  expect(tenants.overdrawn('acme')).toBeUndefined();
});

it('keeps tenants apart: one has no budget, one a budget of nothing', () => {
  const { budgets: tenants, warnings } = budgets();
  tenants.spend('free', MORNING, 1_000);
  expect([tenants.overdrawn('free'), tenants.stateOf('free'), warnings]).toEqual([undefined, undefined, []]);
  expect(tenants.overdrawn('barred')).toMatchObject({ spent: 0, budget: 0 });
  expect(tenants.overdrawn('acme')).toBeUndefined();
});
