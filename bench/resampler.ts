/**
 * Benchmarks the resampler: time for a chunk of 100 ms through the streaming interface, and measured quality, for every
 * pair of rates that calls and the upstream have, against others in the same run.
 *
 *     npx node bench/resampler.ts [--json]
 */
import { cpus } from 'node:os';
import type { SampleRateHz } from '../src/audio/sample-rates.ts';
import { noise } from '../test/support/tones.ts';
import type { Contestant, Conversion } from './resampler/contestant.ts';
import { others, ours } from './resampler/contestants.ts';
import { openNativeSoxr } from './resampler/native-soxr.ts';
import { measureQuality, type Quality } from './resampler/quality.ts';

/** One resampler on one pair of rates. */
export interface ResamplerResult {
  readonly fromHz: SampleRateHz;
  readonly toHz: SampleRateHz;
  readonly resampler: string;
  /** Microseconds for 100 ms of audio: the median of the rounds' averages. */
  readonly chunkUs: number;
  /** That time divided by our own. */
  readonly timesOurs: number;
  readonly quality: Quality;
}

export interface ResamplerReport {
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string };
  readonly results: readonly ResamplerResult[];
  /** Resamplers that could not take part, and why. */
  readonly missing: readonly { readonly resampler: string; readonly reason: string }[];
}

/** What calls have, to the upstream's 24 kHz and back. */
const PAIRS: readonly (readonly [SampleRateHz, SampleRateHz])[] = [
  [16_000, 24_000],
  [24_000, 16_000],
  [8000, 24_000],
  [24_000, 8000],
  [48_000, 24_000],
  [24_000, 48_000],
];
const CHUNKS_PER_ROUND = 20;
/** Enough for every contestant's code to be optimised; not counted. */
const WARM_UP_ROUNDS = 10;
const ROUNDS = 41;

/** Runs the benchmark; takes about half a minute. */
export async function benchResampler(): Promise<ResamplerReport> {
  const soxr = openNativeSoxr(CHUNKS_PER_ROUND);
  try {
    const contestants = [ours, ...others, ...(soxr.contestant ? [soxr.contestant] : [])];
    const results: ResamplerResult[] = [];
    for (const [fromHz, toHz] of PAIRS) {
      const chunkUs = await timeContestants(contestants, fromHz, toHz);
      for (const [i, contestant] of contestants.entries()) {
        results.push({
          fromHz,
          toHz,
          resampler: contestant.name,
          chunkUs: chunkUs[i]!,
          timesOurs: chunkUs[i]! / chunkUs[0]!,
          quality: await measureQuality(contestant, fromHz, toHz),
        });
      }
    }
    const missing = soxr.missing === undefined ? [] : [{ resampler: 'native libsoxr HQ', reason: soxr.missing }];
    const processors = cpus();
    const machine = { cpu: processors[0]!.model.trim(), cores: processors.length, node: process.version };
    return { machine, results, missing };
  } finally {
    soxr.close();
  }
}

/**
 * Microseconds a chunk for each contestant. They take turns, one round each, so that whatever else the machine does
 * meets them all alike.
 */
async function timeContestants(
  contestants: readonly Contestant[],
  fromHz: SampleRateHz,
  toHz: SampleRateHz,
): Promise<number[]> {
  const chunk = noise(fromHz / 10, 20_000);
  const conversions: Conversion[] = [];
  try {
    for (const contestant of contestants) conversions.push(await contestant.open(fromHz, toHz));
    const rounds = conversions.map((): number[] => []);
    for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
      for (const [i, conversion] of conversions.entries()) {
        const chunkUs = await conversion.time(chunk, CHUNKS_PER_ROUND);
        if (round >= WARM_UP_ROUNDS) rounds[i]!.push(chunkUs);
      }
    }
    return rounds.map((times) => times.sort((a, b) => a - b)[ROUNDS >> 1]!);
  } finally {
    for (const conversion of conversions) await conversion.close();
  }
}

/** The report as a Markdown table. */
export function resamplerMarkdown({ machine, results, missing }: ResamplerReport): string {
  const rows = results.map(({ fromHz, toHz, resampler, chunkUs, timesOurs, quality }) => [
    `${fromHz / 1000} → ${toHz / 1000} kHz`,
    resampler,
    chunkUs.toFixed(1),
    `${timesOurs.toFixed(1)}×`,
    `±${quality.rippleDb.toFixed(3)} dB`,
    `${quality.stopBandDb.toFixed(0)} dB`.replace('-', '−'),
    `${quality.sinadDb.toFixed(1)} dB`,
  ]);
  const absent = missing.map(({ resampler, reason }) => ['all', resampler, `not here: ${reason}`, '', '', '', '']);
  const header = [
    'conversion',
    'resampler',
    'µs for 100 ms',
    'of ours',
    'ripple to 0.9',
    'images and aliases from 1.1',
    'SINAD, 1 kHz',
  ];
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}; 0.9 and 1.1 are of the lower Nyquist frequency.`,
    '',
    line(header),
    line(['---', '---', '---:', '---:', '---:', '---:', '---:']),
    ...[...rows, ...absent].map(line),
  ].join('\n');
}

if (import.meta.main) {
  const report = await benchResampler();
  console.log(process.argv.includes('--json') ? JSON.stringify(report, null, 2) : resamplerMarkdown(report));
}
