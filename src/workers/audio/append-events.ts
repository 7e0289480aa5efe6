import { encodeBase64 } from '../../audio/base64.ts';
import { type AudioFormat, bytesPerMs } from '../../audio/codec.ts';
import type { UplinkJob } from './jobs.ts';

/** Longest audio of one event: a whole recording sent as one chunk stays far below the upstream's limit an event. */
const MAX_EVENT_MS = 1_000;

/** The upstream's events that carry `bytes`, which are in the upstream's format. */
export function appendEvents(
  bytes: Uint8Array,
  format: AudioFormat,
  [before, after]: UplinkJob['envelope'],
): { frame: string; audioMs: number }[] {
  const msBytes = bytesPerMs(format);
  const events: { frame: string; audioMs: number }[] = [];
  for (let start = 0; start < bytes.length; start += MAX_EVENT_MS * msBytes) {
    const part = bytes.subarray(start, start + MAX_EVENT_MS * msBytes);
    events.push({ frame: before + encodeBase64(part) + after, audioMs: part.length / msBytes });
  }
  return events;
}
