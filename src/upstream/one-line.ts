/** Runs of blanks, and of whatever begins a line or steers a terminal: C0, C1, U+2028 and U+2029. */
const BREAKS = /[\p{Cc}\p{Zl}\p{Zp} ]{2,}|[\p{Cc}\p{Zl}\p{Zp}]/gu;

/**
 * What was said, on one line: where a text has line breaks or other control characters it has a blank. Lines of a
 * transcript are joined by line breaks, so that a text with some of its own would forge lines of another speaker.
 */
export function oneLine(text: string): string {
  return text.replace(BREAKS, ' ').trim();
}
