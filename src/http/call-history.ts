import type {
  CallPage,
  CallSearch,
  FoundRecording,
  KeptCall,
  NumberStyle,
  UsageQuery,
  UsageRow,
} from '../store/records.ts';

/** The calls that are over, as the routes see them. All of it may take as long as the disk does, and fail as it does. */
export interface CallHistory {
  search(search: CallSearch, numbers: NumberStyle): Promise<CallPage>;
  /** @returns several tenants' newest, where `name` is a callId that more than one of them used */
  find(tenantId: string | undefined, name: string, numbers: NumberStyle): Promise<readonly KeptCall[]>;
  /** Finished recordings of calls; `name` as for {@link find}. */
  findRecording(tenantId: string | undefined, name: string): Promise<readonly FoundRecording[]>;
  /** Sums of what calls used, a row a group. */
  usage(query: UsageQuery): Promise<readonly UsageRow[]>;
  /** A page of a search as lines. */
  exportPage(
    search: CallSearch,
    numbers: NumberStyle,
    format: 'csv' | 'jsonl',
  ): Promise<{ readonly text: string; readonly nextCursor?: number | undefined }>;
}
