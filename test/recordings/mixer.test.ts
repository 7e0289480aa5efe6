import { describe, expect, it } from 'vitest';
import type { RecordedPiece } from '../../src/recordings/batch.ts';
import { Mixer } from '../../src/recordings/mixer.ts';

const FORMAT = { encoding: 'pcm16', sampleRateHz: 16_000 } as const;

/** So much of one value. */
function piece(
  side: RecordedPiece['side'],
  startMs: number,
  lengthMs: number,
  value: number,
  rest = {},
): RecordedPiece {
  const samples = new Int16Array(lengthMs * 16).fill(value);
  return { side, startMs, base64: Buffer.from(samples.buffer).toString('base64'), format: FORMAT, ...rest };
}

function sides(samples: Int16Array) {
  return [0, 1].map((channel) => samples.filter((_, index) => index % 2 === channel));
}

describe('a mixer', () => {
  it('puts each side where it belongs, and silence elsewhere', () => {
    const mixer = new Mixer(16_000);
    mixer.add(piece('agent', 30, 20, 7));
    mixer.add(piece('caller', 10, 10, 5));
    const [caller, agent] = sides(mixer.end(60));
    expect(caller!.length).toBe(960);
    expect([caller![159], caller![160], caller![319], caller![320]]).toEqual([0, 5, 5, 0]);
    expect([agent![479], agent![480], agent![799], agent![800]]).toEqual([0, 7, 7, 0]);
  });

  it('is the same in one piece or in many', () => {
    const whole = new Mixer(16_000);
    const cut = new Mixer(16_000);
    const taken: number[] = [];
    const values = [3, -4, 5, -6, 7];
    for (const mixer of [whole, cut]) {
      values.forEach((value, index) => {
        mixer.add(piece('caller', index * 100, 100, value));
        mixer.add(piece('agent', index * 100 + 50, 20, -value));
        if (mixer === cut) taken.push(...mixer.take((index + 1) * 100));
      });
    }
    taken.push(...cut.end(520));
    expect(Int16Array.from(taken)).toEqual(whole.end(520));
  });

  it('takes parts of pieces, and other rates and encodings', () => {
    const mixer = new Mixer(8_000);
    mixer.add(piece('agent', 0, 60, 1_000, { fromMs: 20, toMs: 50 }));
    const muLaw = Buffer.alloc(80, 0x80).toString('base64');
    mixer.add({ side: 'caller', startMs: 0, base64: muLaw, format: { encoding: 'pcmu', sampleRateHz: 8_000 } });
    const [caller, agent] = sides(mixer.end(100));
    expect([caller![0], caller![79], caller![80]]).toEqual([32_124, 32_124, 0]);
    // Of a tone cut off at once the filter's edges ring for a moment.
    expect(agent![120]).toBeGreaterThan(900);
    expect(Math.abs(agent![280]!)).toBeLessThan(20);
  });

  it('goes on without a seam where pieces follow each other nearly', () => {
    const mixer = new Mixer(16_000);
    mixer.add(piece('caller', 0, 20, 9));
    mixer.add(piece('caller', 21.3, 20, 9));
    mixer.add(piece('caller', 60, 20, 9));
    const [caller] = sides(mixer.end(80));
    expect(caller!.subarray(0, 640).every((sample) => sample === 9)).toBe(true);
    expect(caller![640]).toBe(0);
    expect(caller![960]).toBe(9);
  });

  it('loses only what should have been written before', () => {
    const mixer = new Mixer(16_000);
    expect(mixer.take(120).length).toBe(100 * 16 * 2);
    mixer.add(piece('agent', 90, 20, 9));
    const [, agent] = sides(mixer.end(120));
    expect(agent!.filter((sample) => sample === 9).length).toBe(160);
  });
});
