/**
 * Kinds of tokens, each with a price of its own. Each token counts once: `input_…` are those that were not cached. No
 * model answers with images.
 */
export const TOKEN_TYPES = [
  'input_text',
  'input_audio',
  'input_image',
  'cached_text',
  'cached_audio',
  'cached_image',
  'output_text',
  'output_audio',
] as const;

export type TokenType = (typeof TOKEN_TYPES)[number];
export type Tokens = Readonly<Record<TokenType, number>>;

/** What an upstream says it bills for one step: for some models tokens, for others the time of what they heard. */
export interface Usage {
  readonly tokens: Tokens;
  readonly seconds: number;
}

export const NO_TOKENS: Tokens = Object.freeze(
  Object.fromEntries(TOKEN_TYPES.map((type) => [type, 0])) as Record<TokenType, number>,
);

export function addTokens(left: Tokens, right: Tokens): Tokens {
  return Object.fromEntries(TOKEN_TYPES.map((type) => [type, left[type] + right[type]])) as Record<TokenType, number>;
}
