/** A sine found in samples by least squares. */
export interface FittedTone {
  readonly amplitude: number;
  /** Phase at sample 0, in radians, of amplitude × sin(ωn + phase). */
  readonly phase: number;
  readonly offset: number;
  /** Root mean square of everything that is neither the sine nor the offset. */
  readonly residualRms: number;
}

/** Fits a sine of known frequency and a constant to samples. */
export function fitTone(samples: ArrayLike<number>, sampleRateHz: number, toneHz: number): FittedTone {
  const omega = (2 * Math.PI * toneHz) / sampleRateHz;
  // Normal equations of [sin, cos, 1], as rows of [s·s, s·c, s·1 | s·x].
  const rows = [new Float64Array(4), new Float64Array(4), new Float64Array(4)] as const;
  for (let n = 0; n < samples.length; n++) {
    const basis = [Math.sin(omega * n), Math.cos(omega * n), 1];
    for (let i = 0; i < 3; i++) {
      for (let j = 0; j < 3; j++) rows[i]![j]! += basis[i]! * basis[j]!;
      rows[i]![3]! += basis[i]! * samples[n]!;
    }
  }
  const [sine, cosine, offset] = solve(rows);
  let energy = 0;
  for (let n = 0; n < samples.length; n++) {
    energy += (samples[n]! - sine * Math.sin(omega * n) - cosine * Math.cos(omega * n) - offset) ** 2;
  }
  return {
    amplitude: Math.hypot(sine, cosine),
    phase: Math.atan2(cosine, sine),
    offset,
    residualRms: Math.sqrt(energy / samples.length),
  };
}

/** Ratio of a tone's power to that of noise and distortion together, in decibels (IEEE 1057: sine fitted in three parts). */
export function sinadDb(samples: ArrayLike<number>, sampleRateHz: number, toneHz: number): number {
  const { amplitude, residualRms } = fitTone(samples, sampleRateHz, toneHz);
  return 20 * Math.log10(amplitude / Math.SQRT2 / residualRms);
}

function solve(rows: readonly [Float64Array, Float64Array, Float64Array]): [number, number, number] {
  for (let pivot = 0; pivot < 3; pivot++) {
    for (let i = 0; i < 3; i++) {
      if (i === pivot) continue;
      const factor = rows[i]![pivot]! / rows[pivot]![pivot]!;
      for (let j = pivot; j < 4; j++) rows[i]![j]! -= factor * rows[pivot]![j]!;
    }
  }
  return [rows[0][3]! / rows[0][0]!, rows[1][3]! / rows[1][1]!, rows[2][3]! / rows[2][2]!];
}
