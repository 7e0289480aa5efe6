/**
 * The resampler's inner loop, in AssemblyScript for WebAssembly with SIMD. `scripts/build-wasm.ts` compiles it into
 * `src/audio/kernel-wasm.ts`; `src/audio/kernel.ts` calls it and owns the memory's layout.
 *
 * It works in whole numbers: PCM16 samples times taps in units of 2^−25. Whole numbers add up to the same in every
 * order, so each output sample is the exact sum, rounded once, on every machine and however a stream is cut.
 *
 * `i32x4.dot_i16x8_s` (x86: PMADDWD) multiplies eight pairs of 16-bit numbers and adds them two by two, twice the work
 * of a float instruction, and takes samples as they are. A tap of 26 bits therefore comes as two of 16: a coarse part in
 * units of 2^−14 and a fine part in units of 2^−25, −1024 to 1023, summed apart.
 *
 * Nothing overflows 32 bits: the coarse parts of a phase add up to less than 2^16 in absolute value, and so do the fine
 * parts that one of the four columns of a sum meets; a sample adds 2^15 at most.
 */

/** Bits of the fine part of a tap. */
const FINE_BITS: i32 = 11;
/** Bits of a coarse sum after the binary point. */
const COARSE_BITS: i32 = 14;

/**
 * Computes consecutive output samples. The windows of neighbouring outputs of one phase start `step` samples apart; four
 * of them share the taps that are loaded. The last four of a phase are computed even where fewer are asked for.
 *
 * @param taps address of the taps: `phases` times `tapCount` of them, oldest sample's first, in groups of eight coarse
 * parts and eight fine parts, i16 each.
 * @param samples address of the window, i16: `tapCount − 1` earlier samples, then the block, then 3 × `step` more that
 * are read but do not matter.
 * @param output address for `count` samples, i16, and 3 × `phases` more that are overwritten.
 * @param tapCount taps in a phase, a multiple of 8.
 * @param ticks where the first output sample lies: its newest input sample is number ⌊`ticks` / `phases`⌋ of the block.
 */
export function convolve(
  taps: usize,
  samples: usize,
  output: usize,
  tapCount: i32,
  phases: i32,
  step: i32,
  ticks: i32,
  count: i32,
): void {
  const phaseBytes = (<usize>tapCount) << 2;
  const outputStride = (<usize>phases) << 1;
  const windowStride = (<usize>step) << 1;
  const fineMask = i32x4.splat((1 << FINE_BITS) - 1);
  const half = i32x4.splat(1 << (COARSE_BITS - 1));
  for (let first = 0; first < phases; first++) {
    const tick = ticks + first * step;
    const phaseTaps = taps + <usize>(tick % phases) * phaseBytes;
    const phaseEnd = phaseTaps + phaseBytes;
    let window = samples + ((<usize>(tick / phases)) << 1);
    let target = output + ((<usize>first) << 1);
    for (let at = first; at < count; at += phases << 2) {
      let window0 = window;
      let window1 = window0 + windowStride;
      let window2 = window1 + windowStride;
      let window3 = window2 + windowStride;
      window = window3 + windowStride;
      let coarse0 = i32x4.splat(0);
      let coarse1 = coarse0;
      let coarse2 = coarse0;
      let coarse3 = coarse0;
      let fine0 = coarse0;
      let fine1 = coarse0;
      let fine2 = coarse0;
      let fine3 = coarse0;
      for (let tap = phaseTaps; tap < phaseEnd; tap += 32) {
        const coarse = v128.load(tap);
        const fine = v128.load(tap, 16);
        let x = v128.load(window0);
        coarse0 = i32x4.add(coarse0, i32x4.dot_i16x8_s(x, coarse));
        fine0 = i32x4.add(fine0, i32x4.dot_i16x8_s(x, fine));
        x = v128.load(window1);
        coarse1 = i32x4.add(coarse1, i32x4.dot_i16x8_s(x, coarse));
        fine1 = i32x4.add(fine1, i32x4.dot_i16x8_s(x, fine));
        x = v128.load(window2);
        coarse2 = i32x4.add(coarse2, i32x4.dot_i16x8_s(x, coarse));
        fine2 = i32x4.add(fine2, i32x4.dot_i16x8_s(x, fine));
        x = v128.load(window3);
        coarse3 = i32x4.add(coarse3, i32x4.dot_i16x8_s(x, coarse));
        fine3 = i32x4.add(fine3, i32x4.dot_i16x8_s(x, fine));
        window0 += 16;
        window1 += 16;
        window2 += 16;
        window3 += 16;
      }
      // The four columns of a fine sum together may overflow: carry their upper bits over first.
      const coarseSums = addAcross(
        carry(coarse0, fine0),
        carry(coarse1, fine1),
        carry(coarse2, fine2),
        carry(coarse3, fine3),
      );
      const fineSums = addAcross(
        v128.and(fine0, fineMask),
        v128.and(fine1, fineMask),
        v128.and(fine2, fineMask),
        v128.and(fine3, fineMask),
      );
      const sums = i32x4.add(coarseSums, i32x4.shr_s(fineSums, FINE_BITS));
      const rounded = i32x4.shr_s(i32x4.add(sums, half), COARSE_BITS);
      const saturated = i16x8.narrow_i32x4_s(rounded, rounded);
      v128.store_lane<i16>(target, saturated, 0);
      target += outputStride;
      v128.store_lane<i16>(target, saturated, 1);
      target += outputStride;
      v128.store_lane<i16>(target, saturated, 2);
      target += outputStride;
      v128.store_lane<i16>(target, saturated, 3);
      target += outputStride;
    }
  }
}

/** What a fine sum holds beyond its fine bits, added to the coarse sum. */
function carry(coarse: v128, fine: v128): v128 {
  return i32x4.add(coarse, i32x4.shr_s(fine, FINE_BITS));
}

/** The sums of the four columns of each: of `a`, of `b`, of `c`, of `d`. */
function addAcross(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return i32x4.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3));
}
