/** What somebody says, as it is known by now. `atMs` counts from the call's creation. */
export interface TranscriptLine {
  readonly id: number;
  readonly atMs: number;
  readonly role: 'user' | 'agent';
  readonly text: string;
  /** What the caller heard of it, once that is known. */
  readonly heard?: string;
  /** Not all of it was heard. */
  readonly cut?: true;
  /** Nothing of it will change any more, unless it turns out to have been cut. */
  readonly isFinal: boolean;
  /** It was no speech. */
  readonly isRemoved?: true;
}

interface Place {
  readonly id: number;
  readonly atMs: number;
  /** Absent: nobody has said anything yet. */
  line?: TranscriptLine;
  /** Of all lines, when this one was last changed. */
  revision: number;
}

/** The conversation for whoever follows it: each line under its number from its first word on, and changed as more is known. */
export class TranscriptLines {
  readonly #nowMs: () => number;
  readonly #startedAtMs: number;
  readonly #places: Place[] = [];
  readonly #byItem = new Map<string, Place>();
  #revision = 0;

  /** @param nowMs the clock that `atMs` below is on */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#startedAtMs = nowMs();
  }

  /** Rises with every change. */
  get revision(): number {
    return this.#revision;
  }

  /** An item has its place in the conversation from now on. */
  begun(itemId: string, atMs = this.#nowMs()): void {
    if (this.#byItem.has(itemId)) return;
    const place = { id: this.#places.length, atMs: Math.round((atMs - this.#startedAtMs) * 10) / 10, revision: 0 };
    this.#places.push(place);
    this.#byItem.set(itemId, place);
  }

  /** The item goes by another id too. */
  renamed(itemId: string, newItemId: string): void {
    const place = this.#byItem.get(itemId);
    if (place) this.#byItem.set(newItemId, place);
  }

  /** The caller has said something. */
  userSaid(itemId: string, text: string): void {
    this.#set(itemId, { role: 'user', text, isFinal: true });
  }

  /** The agent says something; how much of it will be heard is not known. */
  agentSays(itemId: string, text: string): void {
    this.#set(itemId, { role: 'agent', text, isFinal: false });
  }

  /** So much of what the agent says was heard. */
  heard(itemId: string, text: string, heard: string): void {
    this.#set(itemId, { role: 'agent', text, heard, ...(heard === text ? {} : { cut: true }), isFinal: true });
  }

  removed(itemId: string): void {
    const line = this.#byItem.get(itemId)?.line;
    if (line) this.#set(itemId, { role: line.role, text: '', isFinal: true, isRemoved: true });
  }

  /** Lines that are new or were changed after `revision`, by number. */
  since(revision: number): TranscriptLine[] {
    if (revision === this.#revision) return [];
    return this.#places.flatMap(({ line, revision: changed }) => (line && changed > revision ? [line] : []));
  }

  #set(itemId: string, line: Omit<TranscriptLine, 'id' | 'atMs'>): void {
    this.begun(itemId);
    const place = this.#byItem.get(itemId)!;
    place.line = { id: place.id, atMs: place.atMs, ...line };
    place.revision = ++this.#revision;
  }
}
