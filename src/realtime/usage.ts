import { NO_TOKENS, type Tokens, type Usage } from '../upstream/usage.ts';

/** Thousands of times what a response can cost. */
const MAX_TOKENS = 1_000_000_000;
/** A day. */
const MAX_SECONDS = 86_400;

type Counts = Readonly<Record<string, unknown>>;

/**
 * The `usage` of a `response.done`, with zeros for what the server left out and for what is no number of tokens.
 *
 * Cached tokens without details count as text first: what is cached is the beginning of the prompt, which the
 * instructions and the tools are. Tokens whose kind the server does not tell count as text, an answer without any details
 * as speech.
 * @param onUnusable told of each count that cannot be one
 */
export function responseUsage(usage: unknown, onUnusable: () => void = () => {}): Usage | undefined {
  return usageOf(usage, 'output_audio', onUnusable);
}

/** The `usage` of a transcription: tokens as above, or the time of the audio. */
export function transcriptionUsage(usage: unknown, onUnusable: () => void = () => {}): Usage | undefined {
  return usageOf(usage, 'output_text', onUnusable);
}

/** @param said the kind of an answer of which the server tells the tokens alone */
function usageOf(usage: unknown, said: 'output_text' | 'output_audio', onUnusable: () => void): Usage | undefined {
  if (usage === undefined || usage === null) return undefined;
  if (typeof usage !== 'object') {
    onUnusable();
    return undefined;
  }
  const number = (value: unknown, most: number): number => {
    if (value === undefined || value === null) return 0;
    if (typeof value === 'number' && value >= 0 && value <= most) return value;
    onUnusable();
    return 0;
  };
  const count = (value: unknown): number => Math.round(number(value, MAX_TOKENS));
  const all = usage as Counts;
  if (all['type'] === 'duration') return { tokens: NO_TOKENS, seconds: number(all['seconds'], MAX_SECONDS) };
  return {
    tokens: { ...inputTokens(all, count), ...outputTokens(all, count, said) },
    seconds: 0,
  };
}

type InputTokens = Omit<Tokens, 'output_text' | 'output_audio'>;

function inputTokens(usage: Counts, count: (value: unknown) => number): InputTokens {
  const input = fields(usage['input_token_details']);
  const audio = count(input['audio_tokens']);
  const image = count(input['image_tokens']);
  const text = Math.max(count(input['text_tokens']), count(usage['input_tokens']) - audio - image);
  const cached = cachedTokens(input, text, audio, count);
  return {
    // A server that counts otherwise must not make a counter fall.
    input_text: Math.max(0, text - cached.cached_text),
    input_audio: Math.max(0, audio - cached.cached_audio),
    input_image: Math.max(0, image - cached.cached_image),
    ...cached,
  };
}

function cachedTokens(
  input: Counts,
  text: number,
  audio: number,
  count: (value: unknown) => number,
): Pick<Tokens, 'cached_text' | 'cached_audio' | 'cached_image'> {
  const details = input['cached_tokens_details'];
  if (typeof details === 'object' && details !== null) {
    const cached = details as Counts;
    return {
      cached_text: count(cached['text_tokens']),
      cached_audio: count(cached['audio_tokens']),
      cached_image: count(cached['image_tokens']),
    };
  }
  const inAll = count(input['cached_tokens']);
  const ofText = Math.min(inAll, text);
  return { cached_text: ofText, cached_audio: Math.min(inAll - ofText, audio), cached_image: 0 };
}

function outputTokens(
  usage: Counts,
  count: (value: unknown) => number,
  said: 'output_text' | 'output_audio',
): Pick<Tokens, 'output_text' | 'output_audio'> {
  const details = usage['output_token_details'];
  const total = count(usage['output_tokens']);
  if (typeof details !== 'object' || details === null) return { output_text: 0, output_audio: 0, [said]: total };
  const audio = count((details as Counts)['audio_tokens']);
  return { output_text: Math.max(count((details as Counts)['text_tokens']), total - audio), output_audio: audio };
}

function fields(value: unknown): Counts {
  return typeof value === 'object' && value !== null ? (value as Counts) : {};
}
