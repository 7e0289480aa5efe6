import { readFileSync } from 'node:fs';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { TOKEN_TYPES, type TokenType, type Usage } from '../upstream/usage.ts';
import builtIn from './prices.json' with { type: 'json' };

const PER_TOKENS = 1_000_000;
/** Where audio is billed by the minute and counted in tokens all the same: the caller's are a tenth of a second each. */
const AUDIO_TOKENS_A_MINUTE = 600;
/** `gpt-realtime-mini-2025-12-15` costs what `gpt-realtime-mini` does. */
const SNAPSHOT = /-\d{4}-\d{2}-\d{2}$/;

const price = Type.Optional(Type.Number({ minimum: 0, maximum: 1_000_000 }));

const ModelPrices = Type.Object(
  {
    ...(Object.fromEntries(TOKEN_TYPES.map((type) => [type, price])) as Record<TokenType, typeof price>),
    minute: price,
  },
  { additionalProperties: false },
);

/** What a file of prices holds. Prices of tokens are for a million of them; what a model has no price for costs nothing. */
const PriceList = Type.Object(
  {
    /** ISO date of the day they were looked at. */
    asOf: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$' }),
    /** For people. */
    source: Type.Optional(Type.String()),
    currency: Type.String({ pattern: '^[A-Z]{3}$' }),
    models: Type.Record(Type.String(), ModelPrices),
  },
  { additionalProperties: false },
);
type PriceList = Static<typeof PriceList>;
const check = Compile(PriceList);

/** What models cost: the list that ships, `prices.json` beside this file, or the operator's own. */
export class Prices {
  readonly asOf: string;
  /** ISO 4217. */
  readonly currency: string;
  readonly #models: ReadonlyMap<string, Static<typeof ModelPrices>>;

  private constructor({ asOf, currency, models }: PriceList) {
    this.asOf = asOf;
    this.currency = currency;
    this.#models = new Map(Object.entries(models));
  }

  /**
   * @param path a file to be used in the place of the list that ships
   * @throws {Error} when it cannot be read, or is no list of prices
   */
  static open(path: string | undefined): Prices {
    if (path === undefined) return new Prices(builtIn);
    let list: unknown;
    try {
      list = JSON.parse(readFileSync(path, 'utf8'));
    } catch (cause) {
      const why = (cause as Error).message;
      throw new Error(`PRICES_FILE is "${path}", but it cannot be read as JSON: ${why}`, { cause });
    }
    if (check.Check(list)) return new Prices(list);
    const [error] = check.Errors(list);
    const where = error?.instancePath ? error.instancePath.slice(1).replaceAll('/', '.') : 'its content';
    throw new Error(`PRICES_FILE is "${path}", but ${where} ${error?.message}`);
  }

  has(model: string): boolean {
    return this.#of(model) !== undefined;
  }

  /** What that costs; undefined: there is no price for the model. */
  cost(model: string, { tokens, seconds }: Usage): number | undefined {
    const prices = this.#of(model);
    if (!prices) return undefined;
    const { minute = 0 } = prices;
    let cost = (minute * seconds) / 60;
    for (const type of TOKEN_TYPES) cost += ((prices[type] ?? 0) * tokens[type]) / PER_TOKENS;
    if (prices.input_audio === undefined) cost += (minute * tokens.input_audio) / AUDIO_TOKENS_A_MINUTE;
    return cost;
  }

  #of(model: string): Static<typeof ModelPrices> | undefined {
    return this.#models.get(model) ?? this.#models.get(model.replace(SNAPSHOT, ''));
  }
}
