import type { CallContext } from './call-context.ts';
import { checkLines } from './script-lines.ts';

/** The transcript of one call, as its caller was given it, against its script. */
export class HeardLines {
  readonly #context: CallContext;
  readonly #recording: string;
  readonly #callId: string;
  readonly #lines: string[] = [];

  /** @param recording the name of what the caller says */
  constructor(context: CallContext, recording: string, callId: string) {
    this.#context = context;
    this.#recording = recording;
    this.#callId = callId;
  }

  /** @param transcript lines of an answer */
  add(transcript: string): void {
    this.#lines.push(...transcript.split('\n'));
  }

  /** Everything that was to be said has been. */
  get isComplete(): boolean {
    const expected = this.#context.expectedLines.get(this.#recording);
    return expected !== undefined && checkLines(this.#lines, expected, []).missing.length === 0;
  }

  /**
   * Counts what was wrong.
   * @param wasCut the call was ended in the middle: nothing is missed
   */
  check(wasCut: boolean): void {
    const { expectedLines, stats, job } = this.#context;
    const expected = expectedLines.get(this.#recording);
    if (job.expectation !== 'scripted' || !expected) return;
    const { missing, foreign, unknown } = checkLines(this.#lines, expected, expectedLines.values());
    stats.count('linesChecked', this.#lines.length);
    stats.count('foreignLines', foreign.length);
    stats.count('unknownLines', unknown.length);
    for (const line of [...foreign, ...unknown]) stats.note(`${this.#callId} (${this.#recording}) heard "${line}"`);
    if (wasCut) return;
    stats.count('missingLines', missing.length);
    for (const line of missing) stats.note(`${this.#callId} (${this.#recording}) never heard "${line}"`);
  }
}
