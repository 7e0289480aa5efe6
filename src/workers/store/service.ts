import { defineService, unary } from '../../bus/index.ts';
import type { RecordingBatch } from '../../recordings/batch.ts';
import type {
  CallPage,
  CallSearch,
  FoundRecording,
  KeptCall,
  Look,
  LookPage,
  LookSearch,
  NumberStyle,
  StoreEntry,
  StoreMark,
  UsageQuery,
  UsageRow,
} from '../../store/records.ts';
import type { StoreNote, WriteResult } from '../../store/store.ts';

export interface OpenStoreRequest {
  /** `DATA_DIR`. */
  readonly directory: string;
  readonly retentionDays: number;
  /** Absent: the store's default. */
  readonly recordingRetentionDays?: number | undefined;
  /** What recordings leave free on the disk; default 0. */
  readonly recordingMinFreeBytes?: number | undefined;
}

/** What a search is asked with. */
export interface SearchRequest {
  readonly search: CallSearch;
  readonly numbers: NumberStyle;
}

/**
 * What the store's thread does for the main thread. An error's `details` are a {@link StoreErrorCode} where the store
 * itself failed.
 */
export const StoreService = defineService('store', {
  /** Answers with the ids of the summaries that are to be delivered, the oldest first. Repeated, it opens anew. */
  open: unary<OpenStoreRequest, { readonly undelivered: readonly string[] }>(),
  /** Answers when all of it is on the disk. */
  write: unary<{ readonly entries: readonly StoreEntry[]; readonly marks: readonly StoreMark[] }, WriteResult>(),
  readSummary: unary<{ readonly id: string }, { readonly tenantId: string; readonly body: string } | undefined>(),
  search: unary<SearchRequest, CallPage>(),
  find: unary<
    {
      readonly tenantId: string | undefined;
      readonly name: string;
      readonly numbers: NumberStyle;
      readonly who: string | undefined;
    },
    readonly KeptCall[]
  >(),
  export: unary<
    SearchRequest & { readonly format: 'csv' | 'jsonl'; readonly who: string },
    { readonly text: string; readonly nextCursor?: number | undefined }
  >(),
  /** Answers when they are on the disk. */
  noteLooks: unary<{ readonly looks: readonly Look[] }, void>(),
  looks: unary<LookSearch, LookPage>(),
  /** Answers when what has gathered of a recording is written; fails where it ends because the disk did not take it. */
  record: unary<RecordingBatch, void>(),
  findRecording: unary<{ readonly tenantId: string | undefined; readonly name: string }, readonly FoundRecording[]>(),
  usage: unary<UsageQuery, readonly UsageRow[]>(),
  size: unary<void, { readonly byteCount: number }>(),
  /** Gives the directory free. */
  close: unary<void, void>(),
});

/** What the main thread does for the store's. */
export const StoreHostService = defineService('storeHost', {
  note: unary<StoreNote, void>(),
});
