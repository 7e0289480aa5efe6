/** The text of an `input_audio_buffer.append` event before and behind its base64. */
export const APPEND_ENVELOPE = ['{"type":"input_audio_buffer.append","audio":"', '"}'] as const;

/** The event that carries `base64` upstream. */
export function appendEvent(base64: string): string {
  const [before, after] = APPEND_ENVELOPE;
  return before + base64 + after;
}
