/** `count` samples of a sine that starts at phase 0, rounded to PCM16. */
export function tone(toneHz: number, sampleRateHz: number, count: number, amplitude: number): Int16Array {
  return Int16Array.from({ length: count }, (_, n) =>
    Math.round(amplitude * Math.sin((2 * Math.PI * toneHz * n) / sampleRateHz)),
  );
}

/** `count` samples of white noise, equally likely everywhere from −`amplitude` to `amplitude`; the same for a seed. */
export function noise(count: number, amplitude: number, seed = 1): Int16Array {
  let state = seed >>> 0;
  return Int16Array.from({ length: count }, () => {
    // Numerical Recipes' linear congruential generator; its upper bits are good enough for noise.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.round(((state >>> 8) / 0xffffff) * 2 * amplitude - amplitude);
  });
}

/** Joins arrays of samples. */
export function joinSamples(parts: readonly Int16Array[]): Int16Array {
  const joined = new Int16Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
