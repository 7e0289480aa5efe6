import { readFileSync } from 'node:fs';
import type { AudioFormat } from '../../src/audio/codec.ts';
import { bytesFromPcm16 } from '../../src/audio/pcm16.ts';
import { readWav } from '../../src/audio/wav.ts';

/** The call that everything here is measured with: PCM16 at 16 kHz, 100 ms a chunk, upstream 24 kHz. */
export const CALL: AudioFormat = { encoding: 'pcm16', sampleRateHz: 16_000 };
export const UPSTREAM: AudioFormat = { encoding: 'pcm16', sampleRateHz: 24_000 };

/** 100 ms of speech at the call's rate, as base64. */
export const chunkBase64 = base64Of('../../fixtures/calls/order-status-16k.wav', 16_000);
/** 200 ms of speech at the upstream's rate, as base64: a delta of the usual size. */
export const deltaBase64 = base64Of('../../fixtures/agent/greeting.wav', 24_000, 200);
/** The body of a chunk's POST. */
export const chunkBody = JSON.stringify({ audio: chunkBase64, chunkSeq: 0 });
/** What becomes of a chunk: an event with 100 ms at 24 kHz. */
export const appendEvent = JSON.stringify({
  type: 'input_audio_buffer.append',
  audio: base64Of('../../fixtures/agent/greeting.wav', 24_000),
});
/** What a delta comes as. */
export const deltaEvent = JSON.stringify({
  type: 'response.output_audio.delta',
  event_id: 'event_0123456789abcdefghijk',
  response_id: 'resp_0123456789abcdefghijk',
  item_id: 'item_0123456789abcdefghijk',
  output_index: 0,
  content_index: 0,
  delta: deltaBase64,
});

function base64Of(file: string, rateHz: number, lengthMs = 100): string {
  const { samples } = readWav(readFileSync(new URL(file, import.meta.url)));
  // From the middle: speech, not the silence before it.
  const length = (rateHz * lengthMs) / 1000;
  const from = Math.floor(samples.length / 4);
  return Buffer.from(bytesFromPcm16(samples.subarray(from, from + length))).toString('base64');
}
