/**
 * Discrete Fourier transform of complex numbers, in place, unscaled (radix 2, decimation in time).
 *
 * @param re real parts; the length must be a power of two.
 * @param im imaginary parts; the same length.
 * @throws {RangeError} when the lengths differ or are not a power of two.
 */
export function transform(re: Float64Array, im: Float64Array): void {
  const size = re.length;
  if (im.length !== size || size === 0 || (size & (size - 1)) !== 0) {
    throw new RangeError(`a transform of ${size} and ${im.length} parts: both must be the same power of two`);
  }
  reverseBits(re, im);
  const cos = new Float64Array(size / 2);
  const sin = new Float64Array(size / 2);
  for (let k = 0; k < size / 2; k++) {
    cos[k] = Math.cos((2 * Math.PI * k) / size);
    sin[k] = -Math.sin((2 * Math.PI * k) / size);
  }
  for (let half = 1; half < size; half *= 2) {
    const turn = size / (2 * half);
    for (let group = 0; group < size; group += 2 * half) {
      for (let k = 0; k < half; k++) {
        const a = group + k;
        const b = a + half;
        const c = cos[k * turn]!;
        const s = sin[k * turn]!;
        const bRe = re[b]! * c - im[b]! * s;
        const bIm = re[b]! * s + im[b]! * c;
        re[b] = re[a]! - bRe;
        im[b] = im[a]! - bIm;
        re[a]! += bRe;
        im[a]! += bIm;
      }
    }
  }
}

function reverseBits(re: Float64Array, im: Float64Array): void {
  const size = re.length;
  for (let i = 1, j = 0; i < size; i++) {
    let bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i >= j) continue;
    const r = re[i]!;
    re[i] = re[j]!;
    re[j] = r;
    const m = im[i]!;
    im[i] = im[j]!;
    im[j] = m;
  }
}
