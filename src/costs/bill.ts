import { addTokens, NO_TOKENS, TOKEN_TYPES, type Tokens, type Usage } from '../upstream/usage.ts';
import type { Prices } from './prices.ts';

/** What one model was used for on a call. */
export interface ModelBill {
  readonly model: string;
  readonly tokens: Tokens;
  /** Of audio, where the model is billed by it. */
  readonly seconds: number;
  /** Absent: the list of prices does not know the model. */
  readonly cost?: number;
}

/** What a call has cost so far, model by model. */
export class Bill {
  readonly #prices: Prices;
  readonly #models = new Map<string, Usage & { readonly cost: number | undefined }>();

  constructor(prices: Prices) {
    this.#prices = prices;
  }

  /** @returns what it costs; undefined: there is no price */
  add(model: string, usage: Usage): number | undefined {
    const cost = this.#prices.cost(model, usage);
    const before = this.#models.get(model) ?? { tokens: NO_TOKENS, seconds: 0, cost: 0 };
    this.#models.set(model, {
      tokens: addTokens(before.tokens, usage.tokens),
      seconds: before.seconds + usage.seconds,
      cost: cost === undefined ? undefined : (before.cost ?? 0) + cost,
    });
    return cost;
  }

  get models(): ModelBill[] {
    return [...this.#models].map(([model, { tokens, seconds, cost }]) => ({
      model,
      tokens,
      seconds: Math.round(seconds * 1000) / 1000,
      ...(cost === undefined ? {} : { cost: millionths(cost) }),
    }));
  }

  /** Of all models together. */
  get tokens(): Tokens {
    return [...this.#models.values()].reduce((sum, { tokens }) => addTokens(sum, tokens), NO_TOKENS);
  }

  /** Undefined where a model that was used has no price: part of a cost is not it. */
  get cost(): number | undefined {
    const models = [...this.#models.values()].filter(isUsed);
    if (models.some(({ cost }) => cost === undefined)) return undefined;
    return millionths(models.reduce((sum, { cost }) => sum + (cost ?? 0), 0));
  }
}

function isUsed({ tokens, seconds }: Usage): boolean {
  return seconds > 0 || TOKEN_TYPES.some((type) => tokens[type] > 0);
}

/** Prices are for millions, and sums of fractions have no end. */
function millionths(cost: number): number {
  return Math.round(cost * 1_000_000) / 1_000_000;
}
