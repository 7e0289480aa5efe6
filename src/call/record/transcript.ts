import { assistantLine, Conversation, userLine } from '../../upstream/conversation.ts';

/** Who is given each line of a call's transcript when it is certain. */
export interface LineReader {
  pushTranscript(line: string): void;
}

/** Who said what on one call, in the order of the conversation, and line by line as it becomes certain. */
export class Transcript {
  readonly conversation = new Conversation();
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

  /** The caller's words; null: they could not be transcribed. */
  userText(itemId: string, text: string | null): void {
    if (this.#removed.has(itemId)) return;
    this.conversation.setText(itemId, 'user', text);
    if (text !== '') this.#line(userLine(text));
  }

  /** What was heard of a reply. It is its last word, unless an interruption cuts it still. */
  said(itemId: string, words: string): void {
    this.conversation.setText(itemId, 'assistant', words);
    this.conversation.settle(itemId);
    if (words !== '') this.#line(assistantLine(words));
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
  }

  #line(line: string): void {
    this.#lineCount += 1;
    this.#reader.pushTranscript(line);
  }
}
