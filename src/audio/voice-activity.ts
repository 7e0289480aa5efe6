/** Window over which loudness is judged. */
const WINDOW_MS = 10;
/** Louder than −40 dBFS counts as voice: well above line noise, below quiet speech on a telephone. */
const VOICED_RMS = 32_768 * 10 ** (-40 / 20);

/** Milliseconds of `samples` that are as loud as speech, in steps of 10 ms. */
export function voicedMs(samples: Int16Array, sampleRateHz: number): number {
  const windowLength = (sampleRateHz * WINDOW_MS) / 1000;
  let voiced = 0;
  for (let start = 0; start + windowLength <= samples.length; start += windowLength) {
    let energy = 0;
    for (let i = start; i < start + windowLength; i++) energy += samples[i]! * samples[i]!;
    if (energy > VOICED_RMS * VOICED_RMS * windowLength) voiced += WINDOW_MS;
  }
  return voiced;
}
