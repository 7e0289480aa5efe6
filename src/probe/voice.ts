import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { convertWhole } from '../audio/converter.ts';
import { readWav } from '../audio/wav.ts';

/** A recorded sentence as the probe says it: PCM of 24 kHz, with a moment of the room around it. */
export interface Sentence {
  readonly text: string;
  readonly pcm: Uint8Array;
}

const FIXTURES = fileURLToPath(new URL('../../fixtures', import.meta.url));
const ROOM_MS = 200;

interface Manifest {
  readonly calls: Record<string, { file: string; utterances: { startMs: number; endMs: number; text: string }[] }>;
}

/**
 * The probe's voice: sentences of the recorded calls that ship.
 * @throws {Error} when the fixtures are not there
 */
export async function sentence(call: string, index: number): Promise<Sentence> {
  const { calls } = JSON.parse(await readFile(join(FIXTURES, 'manifest.json'), 'utf8')) as Manifest;
  const utterance = calls[call]?.utterances[index];
  if (!calls[call] || !utterance) throw new Error(`the fixtures have no sentence ${index} of the call ${call}`);
  const { samples, sampleRateHz } = readWav(await readFile(join(FIXTURES, calls[call].file)));
  const at = (ms: number) => Math.max(0, Math.round((ms * sampleRateHz) / 1000));
  const part = samples.slice(at(utterance.startMs - ROOM_MS), at(utterance.endMs + ROOM_MS));
  const from = { encoding: 'pcm16', sampleRateHz } as const;
  const to = { encoding: 'pcm16', sampleRateHz: 24_000 } as const;
  return { text: utterance.text, pcm: convertWhole(new Uint8Array(part.buffer), from, to) };
}
