import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readWav } from '../../src/audio/wav.ts';
import type { Manifest } from '../../src/simulator/script.ts';
import type { SimulatorConnection } from '../../src/simulator/server.ts';
import type { TestCall } from './call.ts';

export const FIXTURES = fileURLToPath(new URL('../../fixtures/', import.meta.url));
export const manifest = JSON.parse(readFileSync(`${FIXTURES}manifest.json`, 'utf8')) as Manifest;

/** Bytes of a millisecond of a call's audio: PCM16 at 16 kHz. */
export const BYTES_PER_MS = 32;
const FRAME_MS = 60;

/** What callers of the recordings say, by what they want. */
const UTTERANCES = {
  /** Answered with the longest line, of 8.4 s. */
  returns: ['interrupter-16k', 0],
  /** Answered with a transfer. */
  person: ['interrupter-16k', 1],
  order: ['order-status-16k', 0],
  arrival: ['order-status-16k', 1],
  goodbye: ['goodbye-16k', 0],
} as const;
export type Utterance = keyof typeof UTTERANCES;

/** What the caller says, in the transcript's form. */
export function userLine(utterance: Utterance): string {
  const [name, index] = UTTERANCES[utterance];
  return `[User]: ${manifest.calls[name]!.utterances[index]!.text}`;
}

/** What the agent says in a line of the script, in the transcript's form. */
export function aiLine(lineId: string): string {
  return `[AI]: ${manifest.agentLines[lineId]!.text}`;
}

/** Bytes of an agent's line as the client gets it: whole frames. */
export function lineBytes(lineId: string): number {
  return Math.ceil(manifest.agentLines[lineId]!.durationMs / FRAME_MS) * FRAME_MS * BYTES_PER_MS;
}

/** Recorded speech at 16 kHz, without the silence behind it that ends a turn. */
export function speech(utterance: Utterance): Buffer {
  const [name, index] = UTTERANCES[utterance];
  const { file, utterances } = manifest.calls[name]!;
  const { samples, sampleRateHz } = readWav(readFileSync(FIXTURES + file));
  const { startMs, endMs } = utterances[index]!;
  const at = (ms: number) => Math.round((ms * sampleRateHz) / 1000);
  return bytesOf(samples.subarray(at(startMs - 200), at(endMs + 200)));
}

export function silence(ms: number): Buffer {
  return Buffer.alloc(ms * BYTES_PER_MS);
}

/** A loud hum, which any detector of energy takes for speech. */
export function hum(ms: number): Buffer {
  return bytesOf(Int16Array.from({ length: ms * 16 }, (_, n) => 9000 * Math.sin((2 * Math.PI * 310 * n) / 16_000)));
}

function bytesOf(samples: Int16Array): Buffer {
  return Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
}

/** Sends audio in chunks of 100 ms, as fast as the gateway takes them. */
export async function send(call: TestCall, audio: Buffer): Promise<void> {
  for (let at = 0; at < audio.length; at += 100 * BYTES_PER_MS) {
    const answer = await call.send(audio.subarray(at, at + 100 * BYTES_PER_MS));
    if (answer.body.status !== 'streamed') throw new Error(`a chunk was refused: ${JSON.stringify(answer.body)}`);
  }
}

/** Says something and waits, in audio, for the turn to end. */
export async function say(call: TestCall, utterance: Utterance): Promise<void> {
  await send(call, Buffer.concat([speech(utterance), silence(800)]));
}

/** Milliseconds of audio that the call has got in its present generation. */
export function deliveredMs(call: TestCall): number {
  return (call.heardBytes.get(call.generation) ?? 0) / BYTES_PER_MS;
}

/** Tells the gateway how much of the present generation was played; by default everything. */
export async function played(call: TestCall, ms = 600_000): Promise<void> {
  await call.poll(`timeout=0&maxMs=1&generation=${call.generation}&playedMs=${ms}`);
}

/** Client events of a type that the simulator got on a connection. */
export function received(connection: SimulatorConnection, type: string): Record<string, unknown>[] {
  return connection.received.filter((entry) => entry.type === type).map(({ event }) => event);
}

/** Resolves with the next event of a type that the simulator sends or gets on a connection. */
export function nextEvent(
  connection: SimulatorConnection,
  direction: 'clientEvent' | 'serverEvent',
  type: string,
  where: (event: Record<string, unknown>) => boolean = () => true,
): Promise<Record<string, unknown>> {
  return new Promise((resolve) => {
    const listener = (event: object) => {
      const fields = event as Record<string, unknown>;
      if (fields['type'] !== type || !where(fields)) return;
      connection.off(direction, listener);
      resolve(fields);
    };
    connection.on(direction, listener);
  });
}

/** Resolves once `condition` holds, looked at often; for what no event tells of. Fails after `limitMs`. */
export async function eventually(condition: () => boolean | Promise<boolean>, limitMs = 20_000): Promise<void> {
  const endsAtMs = Date.now() + limitMs;
  while (!(await condition())) {
    if (Date.now() > endsAtMs) throw new Error(`never came true: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
