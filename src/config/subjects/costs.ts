import { Type } from 'typebox';
import { subject } from '../subject.ts';

/** What calls cost, and how much they may. */
export const costs = subject({
  title: 'Costs',
  variables: {
    PRICES_FILE: Type.Optional(
      Type.String({ description: 'JSON list of prices by model, in the place of `src/costs/prices.json`' }),
    ),
    BUDGET_PER_DAY: Type.Optional(
      Type.Number({
        minimum: 0,
        description: "what a tenant's calls may cost a day where its keys name no `budgetPerDay`; default: no limit",
      }),
    ),
  },
  mustBe: { BUDGET_PER_DAY: 'a number, 0 or more' },
});
