import type { TokenUsage } from '../upstream/host.ts';

/** Thousands of times what a response can cost. */
const MAX_TOKENS = 1_000_000_000;

type Counts = Readonly<Record<string, unknown>>;

/**
 * The tokens of a `response.done`, with zeros for what the server left out and for what is no number of tokens.
 *
 * Cached tokens without details count as text first: what is cached is the beginning of the prompt, which the
 * instructions and the tools are.
 * @param onUnusable told of each count that cannot be one
 */
export function tokenUsage(usage: unknown, onUnusable: () => void = () => {}): TokenUsage | undefined {
  if (usage === undefined || usage === null) return undefined;
  if (typeof usage !== 'object') {
    onUnusable();
    return undefined;
  }
  const count = (value: unknown): number => {
    if (value === undefined || value === null) return 0;
    if (typeof value === 'number' && value >= 0 && value <= MAX_TOKENS) return Math.round(value);
    onUnusable();
    return 0;
  };
  const input = fields((usage as Counts)['input_token_details']);
  const output = fields((usage as Counts)['output_token_details']);
  const inputText = count(input['text_tokens']);
  const inputAudio = count(input['audio_tokens']);
  const details = input['cached_tokens_details'];
  const cached = fields(details);
  const hasDetails = typeof details === 'object' && details !== null;
  const inAll = hasDetails ? 0 : count(input['cached_tokens']);
  const cachedText = hasDetails ? count(cached['text_tokens']) : Math.min(inAll, inputText);
  return {
    inputText,
    inputAudio,
    cachedText,
    cachedAudio: hasDetails ? count(cached['audio_tokens']) : Math.min(inAll - cachedText, inputAudio),
    outputText: count(output['text_tokens']),
    outputAudio: count(output['audio_tokens']),
  };
}

function fields(value: unknown): Counts {
  return typeof value === 'object' && value !== null ? (value as Counts) : {};
}
