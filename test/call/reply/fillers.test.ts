import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AudioFormat } from '../../../src/audio/codec.ts';
import { Fillers } from '../../../src/call/reply/fillers.ts';
import { AudioPool } from '../../../src/workers/audio/pool.ts';
import { FIXTURES, manifest } from '../../support/caller.ts';

const LINE = manifest.agentLines['one-moment']!;

let pool: AudioPool;
let folder: string;
beforeAll(() => {
  pool = new AudioPool({ threads: 1 });
  folder = mkdtempSync(join(tmpdir(), 'fillers-'));
});
afterAll(async () => {
  await pool.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('Fillers', () => {
  it.each<[AudioFormat, number]>([
    [{ encoding: 'pcm16', sampleRateHz: 8000 }, 16],
    [{ encoding: 'pcm16', sampleRateHz: 16_000 }, 32],
    [{ encoding: 'pcm16', sampleRateHz: 48_000 }, 96],
    [{ encoding: 'pcmu', sampleRateHz: 8000 }, 8],
    [{ encoding: 'pcma', sampleRateHz: 8000 }, 8],
  ])('makes frames of a file for a call in %j', async (format, bytesPerMs) => {
    const frames = await new Fillers(pool).load(`${FIXTURES}${LINE.file}`, format);
    expect(frames).toHaveLength(Math.ceil(LINE.durationMs / 60));
    for (const { base64, frameMs } of frames) {
      expect(frameMs).toBe(60);
      expect(Buffer.from(base64, 'base64')).toHaveLength(60 * bytesPerMs);
    }
    const audioMs = frames.reduce((sum, frame) => sum + frame.audioMs, 0);
    expect(Math.abs(audioMs - LINE.durationMs)).toBeLessThan(2);
  });

  it('reads a file once a format', async () => {
    const file = join(folder, 'once.wav');
    copyFileSync(`${FIXTURES}${LINE.file}`, file);
    const fillers = new Fillers(pool);
    const format = { encoding: 'pcm16', sampleRateHz: 16_000 } as const;
    const first = await fillers.load(file, format);
    rmSync(file);
    expect(await fillers.load(file, { ...format })).toBe(first);
    await expect(fillers.load(file, { encoding: 'pcmu', sampleRateHz: 8000 })).rejects.toThrow(/once\.wav/);
  });

  it('tries again after a file could not be played', async () => {
    const file = join(folder, 'later.wav');
    writeFileSync(file, 'RIFF');
    const fillers = new Fillers(pool);
    const format = { encoding: 'pcm16', sampleRateHz: 16_000 } as const;
    await expect(fillers.load(file, format)).rejects.toThrow(/later\.wav cannot be played/);
    copyFileSync(`${FIXTURES}${LINE.file}`, file);
    expect(await fillers.load(file, format)).not.toHaveLength(0);
  });
});
