import type { RecordingBatch, RecordingHead } from '../../recordings/batch.ts';
import { freeBytes, RecordingFile } from '../../recordings/file.ts';
import { Mixer } from '../../recordings/mixer.ts';
import { StoreError } from '../../store/errors.ts';
import type { Store } from '../../store/store.ts';

/** How long the room on the disk is believed to be what it was. */
const FREE_FOR_MS = 2_000;

interface Recording {
  readonly mixer: Mixer;
  readonly file: RecordingFile;
}

/**
 * Writes the recordings of all calls. One that the disk does not take ends there, as far as it is written; a disk that is
 * nearly full is left to the summaries and the history.
 */
export class Recorder {
  readonly #store: () => Store;
  readonly #minFreeBytes: number;
  readonly #nowMs: () => number;
  readonly #recordings = new Map<string, Recording>();
  /** Recordings that are over, and of which the database does not know it yet. */
  readonly #unnoted: { readonly id: string; readonly file: RecordingFile; readonly isWhole: boolean }[] = [];
  #freeBytes = 0;
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  /** @param minFreeBytes what recordings leave free on the disk */
  constructor(store: () => Store, minFreeBytes: number, nowMs: () => number) {
    this.#store = store;
    this.#minFreeBytes = minFreeBytes;
    this.#nowMs = nowMs;
  }

  /** @throws Error when the disk does not take it: then the recording is over */
  write({ head, isFirst, pieces, untilMs, isLast }: RecordingBatch): void {
    const recording = isFirst ? this.#begin(head) : this.#recordings.get(head.id);
    if (!recording) throw new StoreError('store_closed', 'the recording is over');
    const { mixer, file } = recording;
    try {
      this.#checkRoom();
      for (const piece of pieces) mixer.add(piece);
      file.append(isLast ? mixer.end(untilMs) : mixer.take(untilMs));
    } catch (error) {
      this.#end(head, recording, false);
      throw error;
    }
    if (isLast) this.#end(head, recording, true);
  }

  #begin(head: RecordingHead): Recording {
    const path = this.#store().transaction((store) => store.recordings.begin(head));
    try {
      this.#checkRoom();
      const recording = {
        mixer: new Mixer(head.sampleRateHz),
        file: RecordingFile.create(path, head.sampleRateHz),
      };
      this.#recordings.set(head.id, recording);
      return recording;
    } catch (error) {
      this.#store().transaction((store) => store.recordings.drop(head.id));
      throw error;
    }
  }

  #end({ id }: RecordingHead, { file }: Recording, isWhole: boolean): void {
    this.#recordings.delete(id);
    this.#unnoted.push({ id, file, isWhole });
    this.settle();
  }

  /** Notes the ends of recordings that a full disk had no room for. */
  settle(): void {
    while (this.#unnoted.length > 0) {
      const { id, file, isWhole } = this.#unnoted[0]!;
      try {
        this.#store().transaction((store) => store.recordings.end(id, file, isWhole));
      } catch {
        // Whoever writes what matters more is told of the disk.
        return;
      }
      this.#unnoted.shift();
    }
  }

  #checkRoom(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#lookedAtMs >= FREE_FOR_MS) {
      this.#lookedAtMs = nowMs;
      this.#freeBytes = freeBytes(this.#store().recordings.folder);
    }
    if (this.#freeBytes >= this.#minFreeBytes) return;
    throw new StoreError('disk_full', 'the disk has no room for recordings: what is left is for calls');
  }
}
