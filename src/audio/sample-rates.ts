/** The sample rates the gateway speaks, in samples a second, lowest first. */
export const SAMPLE_RATES_HZ = [8000, 16000, 24000, 48000] as const;

/** One of {@link SAMPLE_RATES_HZ}. */
export type SampleRateHz = (typeof SAMPLE_RATES_HZ)[number];

/** Whether `n` is a sample rate the gateway speaks. */
export function isSampleRateHz(n: number): n is SampleRateHz {
  return (SAMPLE_RATES_HZ as readonly number[]).includes(n);
}
