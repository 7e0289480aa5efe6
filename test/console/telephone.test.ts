import { describe, expect, it } from 'vitest';
import { ApiFailure } from '../../console/api/failure.ts';
import { JitterBuffer } from '../../console/talk/jitter-buffer.ts';
import { Recording } from '../../console/talk/recording.ts';
import { type Heard, TurnClock } from '../../console/talk/turn-clock.ts';
import { Uploader } from '../../console/talk/uploader.ts';
import { readWav } from '../../src/audio/wav.ts';

const QUANTUM = 128;
const loud = (samples: number) => new Int16Array(samples).fill(8_000);
const silent = (samples: number) => new Int16Array(samples);

/** What is heard in so many quanta. */
function heard(buffer: JitterBuffer, quanta: number): Int16Array {
  const all = new Int16Array(quanta * QUANTUM);
  for (let i = 0; i < quanta; i++) buffer.pull(all.subarray(i * QUANTUM, (i + 1) * QUANTUM));
  return all;
}

describe('the jitter buffer', () => {
  const options = { sampleRateHz: 16_000, targetMs: 160, slackMs: 80 };

  it('waits for its target, then plays everything in order, however it was cut', () => {
    const buffer = new JitterBuffer(options);
    const speech = Int16Array.from({ length: 16_000 }, (_, i) => (i % 3_000) + 100);
    buffer.push(speech.subarray(0, 1_001));
    expect(heard(buffer, 1).every((sample) => sample === 0)).toBe(true);
    buffer.push(speech.subarray(1_001, 2_600));
    buffer.push(speech.subarray(2_600));
    expect(heard(buffer, 125)).toEqual(speech);
    expect(buffer.underruns).toBe(0);
  });

  it('counts running empty, gathers its target again, and plays a short rest at the end', () => {
    const buffer = new JitterBuffer(options);
    buffer.push(loud(QUANTUM * 20));
    expect(heard(buffer, 21).at(-1)).toBe(0);
    expect(buffer.underruns).toBe(1);
    buffer.push(loud(QUANTUM));
    expect(heard(buffer, 1).at(0)).toBe(0);
    buffer.end();
    expect(heard(buffer, 1).at(0)).toBe(8_000);
    expect(heard(buffer, 1).at(0)).toBe(0);
    expect(buffer.underruns).toBe(1);
  });

  it('that grew long leaves out silence and no speech', () => {
    const buffer = new JitterBuffer(options);
    // A network that stood still for half a second brings all of it at once.
    buffer.push(loud(8_000));
    buffer.push(silent(16_000));
    buffer.push(loud(1_600));
    const all = heard(buffer, 200);
    expect(all.filter((sample) => sample !== 0)).toHaveLength(9_600);
    const gap = all.lastIndexOf(8_000) + 1 - 9_600;
    expect(gap).toBeLessThan(16_000 - 8_000);
  });
});

describe('the clock of turns', () => {
  const BLOCK_MS = 40;
  const SPEECH = 3_000;

  /** `C` the caller speaks, `A` the agent, `B` both, `.` nobody: a block each. */
  function measured(blocks: string): Heard[] {
    const found: Heard[] = [];
    const clock = new TurnClock((one) => found.push(one));
    for (const block of blocks) {
      const caller = block === 'C' || block === 'B' ? SPEECH : 5;
      const agent = block === 'A' || block === 'B' ? SPEECH : 0;
      clock.block(BLOCK_MS, caller, agent);
    }
    return found;
  }

  it('measures from the last word of the caller to the first of the agent, over pauses between words', () => {
    const found = measured(`${'C'.repeat(20)}...${'C'.repeat(10)}${'.'.repeat(20)}AAAA`);
    expect(found).toEqual([{ kind: 'answered', latencyMs: 800 }]);
  });

  it('measures how soon an agent who is talked over falls silent', () => {
    const found = measured(`AAAAAAAAAABBBBBB${'C'.repeat(20)}`);
    expect(found).toEqual([{ kind: 'interrupted', reactionMs: 240 }]);
  });

  it('takes a cough for no question, and the greeting for no answer', () => {
    expect(measured(`..AAAA${'.'.repeat(10)}CC${'.'.repeat(20)}AAAA`)).toEqual([]);
  });
});

describe('the uploader', () => {
  it('sends one chunk at a time, the same again where no answer came, and what waits as one', async () => {
    const sent: [number, number][] = [];
    const done = Promise.withResolvers<void>();
    let failures = 1;
    const uploader = new Uploader(
      16_000,
      async (chunkSeq, samples) => {
        sent.push([chunkSeq, samples.length]);
        await Promise.resolve();
        if (chunkSeq === 1 && failures-- > 0) throw new ApiFailure('unreachable', 'no answer', 0);
        if (chunkSeq === 2) done.resolve();
      },
      done.reject,
    );
    uploader.push(loud(640));
    uploader.push(loud(640));
    uploader.push(loud(640));
    await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    uploader.push(loud(320));
    await done.promise;
    expect(sent).toEqual([
      [0, 640],
      [1, 1_280],
      [1, 1_280],
      [2, 320],
    ]);
  });

  it('stops where the gateway knows the call no more', async () => {
    const over = Promise.withResolvers<unknown>();
    const failure = new ApiFailure('session_not_found', 'no such call', 404);
    let requests = 0;
    const uploader = new Uploader(
      16_000,
      async () => {
        requests += 1;
        throw failure;
      },
      over.resolve,
    );
    uploader.push(loud(640));
    expect(await over.promise).toBe(failure);
    uploader.push(loud(640));
    await new Promise((resolve) => setImmediate(resolve));
    expect(requests).toBe(1);
  });
});

it('a recording is a WAV file with the caller left and the agent right', async () => {
  const recording = new Recording(16_000);
  recording.add(loud(640), silent(640));
  recording.add(loud(640), loud(640));
  const { sampleRateHz, channels, samples } = readWav(new Uint8Array(await recording.toBlob().arrayBuffer()));
  expect([sampleRateHz, channels, samples.length]).toEqual([16_000, 2, 1_280]);
  expect([samples[0], samples[1_279]]).toEqual([4_000, 8_000]);
});
