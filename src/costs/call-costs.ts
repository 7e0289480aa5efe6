import type { Metrics } from '../metrics/metrics.ts';
import { TOKEN_TYPES, type Tokens, type Usage } from '../upstream/usage.ts';
import { Bill, type ModelBill } from './bill.ts';
import type { Budgets } from './budgets.ts';
import type { Prices } from './prices.ts';

/** What all calls of a gateway share. */
export interface Costs {
  readonly prices: Prices;
  readonly budgets: Budgets;
}

/** Whose call it is, and what it runs on. */
export interface CostedCall {
  readonly tenantId: string;
  readonly aiAgentRef: string;
  readonly model: string;
  /** Undefined: the caller is not transcribed. */
  readonly transcriptionModel: string | undefined;
  /** When it began, in milliseconds since the epoch. */
  readonly startedAtMs: number;
}

/** A call's costs, for its figures. */
export interface CostFigures {
  /** Of the conversation. */
  readonly model: string;
  /** Of all models together. */
  readonly tokens: Tokens;
  readonly models: ModelBill[];
  /** Absent: a model that was used has no price. */
  readonly cost?: number;
  readonly currency: string;
}

/** Takes note of what the upstream bills for one call: on its bill, in the metrics of all calls, on the tenant's budget. */
export class CallCosts {
  readonly #call: CostedCall;
  readonly #costs: Costs;
  readonly #metrics: Metrics;
  readonly #bill: Bill;

  constructor(call: CostedCall, costs: Costs, metrics: Metrics) {
    this.#call = call;
    this.#costs = costs;
    this.#metrics = metrics;
    this.#bill = new Bill(costs.prices);
  }

  /** The conversation's model has answered. */
  responded(tokens: Tokens): void {
    this.#used(this.#call.model, { tokens, seconds: 0 });
  }

  /** A turn of the caller was transcribed. */
  transcribed(usage: Usage): void {
    this.#used(this.#call.transcriptionModel ?? this.#call.model, usage);
  }

  ended(): void {
    const { cost } = this.#bill;
    if (cost !== undefined) this.#metrics.callCost.observe(cost);
  }

  get figures(): CostFigures {
    const { tokens, models, cost } = this.#bill;
    const { currency } = this.#costs.prices;
    return { model: this.#call.model, tokens, models, ...(cost === undefined ? {} : { cost }), currency };
  }

  #used(model: string, usage: Usage): void {
    const { tenantId, aiAgentRef, startedAtMs } = this.#call;
    const cost = this.#bill.add(model, usage);
    const metrics = this.#metrics;
    const [modelLabel] = metrics.models.of(model);
    for (const type of TOKEN_TYPES) metrics.upstreamTokens.inc({ type, model: modelLabel }, usage.tokens[type]);
    if (usage.seconds > 0) metrics.upstreamBilledSeconds.inc({ model: modelLabel }, usage.seconds);
    if (cost === undefined) {
      metrics.unpriced.inc({ model: modelLabel });
      return;
    }
    const [tenant, agent] = metrics.payers.of(tenantId, aiAgentRef);
    metrics.cost.inc({ tenant, agent }, cost);
    this.#costs.budgets.spend(tenantId, startedAtMs, cost);
  }
}
