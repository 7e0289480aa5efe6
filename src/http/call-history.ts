import type {
  CallPage,
  CallSearch,
  FoundRecording,
  KeptCall,
  Look,
  LookPage,
  LookSearch,
  NumberStyle,
  UsageQuery,
  UsageRow,
} from '../store/records.ts';
import type { CallSession, Scope } from './gateway.ts';
import { nameOf } from './permissions.ts';

/** The calls that are over, as the routes see them. All of it may take as long as the disk does, and fail as it does. */
export interface CallHistory {
  search(search: CallSearch, numbers: NumberStyle): Promise<CallPage>;
  /**
   * @param who sees what was said, which is recorded where one call is found; undefined: nobody does
   * @returns several tenants' newest, where `name` is a callId that more than one of them used
   */
  find(
    tenantId: string | undefined,
    name: string,
    numbers: NumberStyle,
    who: string | undefined,
  ): Promise<readonly KeptCall[]>;
  /** Finished recordings of calls; `name` as for {@link find}. */
  findRecording(tenantId: string | undefined, name: string): Promise<readonly FoundRecording[]>;
  /** Sums of what calls used, a row a group. */
  usage(query: UsageQuery): Promise<readonly UsageRow[]>;
  /** A page of a search as lines. @param who sees what was said, which is recorded */
  exportPage(
    search: CallSearch,
    numbers: NumberStyle,
    format: 'csv' | 'jsonl',
    who: string,
  ): Promise<{ readonly text: string; readonly nextCursor?: number | undefined }>;
  /** Records that what was said on calls is looked at. */
  noteLooks(looks: readonly Look[]): Promise<void>;
  /** Who has looked at what was said, the latest first. */
  looks(search: LookSearch): Promise<LookPage>;
}

/** Records a look at what is said on a call that is not in the history yet; where that cannot be, nothing is to be shown. */
export async function hasNotedLook(
  history: CallHistory,
  scope: Scope,
  call: CallSession,
  what: Look['what'],
): Promise<boolean> {
  const { tenantId, callId } = call.info();
  try {
    await history.noteLooks([{ who: nameOf(scope), what, tenantId, sessionId: call.id, callId }]);
    return true;
  } catch {
    return false;
  }
}
