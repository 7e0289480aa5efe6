import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { SearchBudget } from '../../loadtest/continuity.ts';
import type { Counter, GeneratorJob } from '../../loadtest/protocol.ts';
import { loadRecording, type Recording } from '../../loadtest/recording.ts';
import { Stats } from '../../loadtest/stats.ts';
import { StreamListener } from '../../loadtest/stream-listener.ts';
import { silenceByte } from '../../src/audio/codec.ts';
import { Random } from '../fuzz/random.ts';

const FORMAT = { encoding: 'pcmu', sampleRateHz: 8_000 } as const;
const WAV = fileURLToPath(new URL('../../fixtures/calls/interrupter-16k.wav', import.meta.url));
const PIECE = 480;
const WINDOW = 160;
const SILENCE = Buffer.alloc(WINDOW, silenceByte('pcmu'));

let recording: Recording;
/** A round of what is said, in pieces as the gateway has them. */
let pieces: Buffer[];

beforeAll(() => {
  recording = loadRecording(WAV, FORMAT, 20);
  const whole = Buffer.concat([...recording.chunks, ...recording.chunks]);
  pieces = Array.from({ length: Math.floor(whole.length / PIECE) }, (_, i) =>
    whole.subarray(i * PIECE, (i + 1) * PIECE),
  );
});

/** What a caller counts who hears this stream, cut anywhere. */
function counted(stream: Buffer, random: Random): Partial<Record<Counter, number>> {
  const stats = new Stats();
  const job = { format: FORMAT, chunkMs: 20, jitterMs: 0, expectation: 'loopback' } as GeneratorJob;
  const listener = new StreamListener({
    job: { ...job, duplex: { leadMs: 120, frameMs: 60, tickMs: 40 } },
    recording,
    firstChunk: 0,
    lookAheadMs: 0,
    stats,
    budget: new SearchBudget(),
  });
  for (let i = 0; i < pieces.length * 3; i++) listener.speech.sent(0);
  for (let at = 0; at < stream.length; ) {
    const length = 1 + random.int(0, 699);
    listener.hear(stream.subarray(at, at + length), at / 8);
    at += length;
  }
  listener.speech.finish();
  return stats.drain(0).counters;
}

/** The pieces with silence of whole windows before some of them, as a gateway puts it in that has nothing to say. */
function withPauses(said: readonly Buffer[], random: Random): { stream: Buffer; pauses: number } {
  const parts: Buffer[] = [];
  let pauses = 0;
  for (const [i, piece] of said.entries()) {
    const windows = i === 0 ? 7 : random.chance(0.1) ? random.int(1, 8) : 0;
    if (windows > 0 && i > 0) pauses += 1;
    for (let n = 0; n < windows; n++) parts.push(SILENCE);
    parts.push(piece);
  }
  return { stream: Buffer.concat(parts), pauses };
}

describe('a streamed call that hears itself', () => {
  it('hears everything once, whatever silence is put between', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = new Random(seed);
      const { stream, pauses } = withPauses(pieces, random);
      const { exactSamples, gaps = 0, ...faults } = counted(stream, random);
      expect(exactSamples, `seed ${seed}`).toBe(pieces.length * PIECE);
      // Beside silence of the recording itself one may not be told from it.
      expect(gaps).toBeLessThanOrEqual(pauses);
      expect(gaps).toBeGreaterThan(pauses / 2);
      expect(faults).not.toHaveProperty('lostSamples');
      expect(faults).not.toHaveProperty('repeatedSamples');
      expect(faults).not.toHaveProperty('alteredSamples');
    }
  });

  it('notices a piece that is lost, doubled, or torn by silence', () => {
    const at = 70;
    const lost = [...pieces.slice(0, at), ...pieces.slice(at + 1)];
    const doubled = [...pieces.slice(0, at), pieces[at]!, ...pieces.slice(at)];
    const torn = Buffer.concat([
      ...pieces.slice(0, at),
      pieces[at]!.subarray(0, WINDOW),
      SILENCE,
      pieces[at]!.subarray(WINDOW),
      ...pieces.slice(at + 1),
    ]);
    const random = new Random(1);
    expect(counted(withPauses(lost, random).stream, random)).toMatchObject({ lostSamples: PIECE });
    expect(counted(withPauses(doubled, random).stream, random)).toMatchObject({ repeatedSamples: PIECE });
    expect(counted(torn, random)).toMatchObject({ repeatedSamples: WINDOW });
  });
});
