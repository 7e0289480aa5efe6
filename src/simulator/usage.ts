import type { RealtimeResponseUsage } from 'openai/resources/realtime/realtime';

/** Tokens of both kinds. */
export interface Tokens {
  text: number;
  audio: number;
}

/** Roughly the tokens of a text: one a word. */
export function textTokens(text: string): number {
  return text.match(/\S+/g)?.length ?? 0;
}

/** The caller's audio: one token per 100 ms. */
export function callerAudioTokens(durationMs: number): number {
  return Math.round(durationMs / 100);
}

/** The assistant's audio, when generated and when billed again as history: one token per 50 ms. */
export function assistantAudioTokens(durationMs: number): number {
  return Math.round(durationMs / 50);
}

export function addTokens(left: Tokens, right: Tokens): Tokens {
  return { text: left.text + right.text, audio: left.audio + right.audio };
}

/**
 * The `usage` of a `response.done`.
 * @param input the whole conversation so far, as every response is billed for it
 * @param cached the part of `input` that the previous response had as well, in the same order
 */
export function usageOf(input: Tokens, cached: Tokens, output: Tokens): RealtimeResponseUsage {
  const inputTokens = input.text + input.audio;
  const outputTokens = output.text + output.audio;
  return {
    total_tokens: inputTokens + outputTokens,
    input_tokens: inputTokens,
    output_tokens: outputTokens,
    input_token_details: {
      text_tokens: input.text,
      audio_tokens: input.audio,
      image_tokens: 0,
      cached_tokens: cached.text + cached.audio,
      cached_tokens_details: { text_tokens: cached.text, audio_tokens: cached.audio, image_tokens: 0 },
    },
    output_token_details: { text_tokens: output.text, audio_tokens: output.audio },
  };
}
