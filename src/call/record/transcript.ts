import { monotonicNowMs } from '../../clock.ts';
import { assistantLine, Conversation, UNINTELLIGIBLE, userLine } from '../../upstream/conversation.ts';
import { TranscriptLines } from './lines.ts';

/** Who is given each line of a call's transcript when it is certain. */
export interface LineReader {
  pushTranscript(line: string): void;
}

/** Who said what on one call, in the order of the conversation, and line by line as it becomes certain. */
export class Transcript {
  readonly conversation = new Conversation();
  /** For whoever follows the call. */
  readonly lines = new TranscriptLines(monotonicNowMs);
  readonly #reader: LineReader;
  readonly #removed = new Set<string>();
  #lineCount = 0;

  constructor(reader: LineReader) {
    this.#reader = reader;
  }

  /** Lines so far. */
  get lineCount(): number {
    return this.#lineCount;
  }

  /** Goes on counting where another process left it. */
  resume(lineCount: number): void {
    this.#lineCount = lineCount;
  }

  addItem(itemId: string, previousItemId: string | null, role: 'user' | 'assistant', atMs: number): void {
    this.conversation.add(itemId, previousItemId, role);
    this.lines.begun(itemId, atMs);
  }

  renameItem(itemId: string, newItemId: string): void {
    this.conversation.rename(itemId, newItemId);
    this.lines.renamed(itemId, newItemId);
  }

  /** The caller's words; null: they could not be transcribed. */
  userText(itemId: string, text: string | null): void {
    if (this.#removed.has(itemId)) return;
    this.conversation.setText(itemId, 'user', text);
    if (text === '') return;
    this.lines.userSaid(itemId, text ?? UNINTELLIGIBLE);
    this.#line(userLine(text));
  }

  /** All that a reply says. Until it is known how much was heard, all of it stands. */
  agentSays(itemId: string, text: string): void {
    this.conversation.setText(itemId, 'assistant', text);
    this.lines.agentSays(itemId, text);
  }

  /** What was heard of a reply that says `text`. It is the last word about it, unless an interruption cuts it still. */
  said(itemId: string, text: string, heard: string): void {
    this.heard(itemId, text, heard);
    this.conversation.settle(itemId);
    if (heard !== '') this.#line(assistantLine(heard));
  }

  /** A reply whose line is out turns out not to have been heard so far. */
  heard(itemId: string, text: string, heard: string): void {
    this.conversation.setText(itemId, 'assistant', heard);
    this.lines.heard(itemId, text, heard);
  }

  /** Whether `said` has been told of the item. */
  isSaid(itemId: string): boolean {
    return this.conversation.isSettled(itemId);
  }

  /** Turns whose words will not come any more, because the connection that would have told them is gone. */
  giveUpTranscripts(): void {
    for (const itemId of this.conversation.untranscribed()) this.userText(itemId, null);
  }

  removeItem(itemId: string): void {
    this.#removed.add(itemId);
    this.conversation.remove(itemId);
    this.lines.removed(itemId);
  }

  #line(line: string): void {
    this.#lineCount += 1;
    this.#reader.pushTranscript(line);
  }
}
