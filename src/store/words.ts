/** What was said on a call, for the search: without who said it. */
export function wordsOf(transcript: readonly string[]): string {
  return transcript.map((line) => line.replace(/^\[(User|AI)\]: /, '')).join('\n');
}
