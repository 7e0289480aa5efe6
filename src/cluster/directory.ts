/** Which call: two tenants may use the same callId. */
export interface CallName {
  readonly tenantId: string;
  readonly callId: string;
}

/** One process of the cluster. A restarted one is another: it holds nothing of what its predecessor held. */
export interface NodeRecord {
  /** Unique among all processes ever. */
  readonly instance: string;
  /** The operator's name for it; at any time one process has it. */
  readonly nodeId: string;
  /** Where other nodes reach it. */
  readonly url: string;
  /** Says which `CLUSTER_KEY` it has, without telling it. */
  readonly keyPrint: string;
}

/** A node as the directory knows it. */
export interface Member extends NodeRecord {
  /** What is left of its lease; 0: it has run out. */
  readonly leaseLeftMs: number;
  /** Calls that it holds. */
  readonly callCount: number;
}

/** What a node that wants to be in the cluster is told. */
export type JoinAnswer =
  /** `wallClockMs`: of the directory. */
  | { readonly type: 'joined'; readonly wallClockMs: number }
  | { readonly type: 'name_taken' | 'other_key'; readonly by: NodeRecord; readonly leaseLeftMs: number };

export type RenewAnswer =
  | {
      readonly type: 'renewed';
      /** The lease had run out before: others may have taken calls. */
      readonly hadLapsed: boolean;
      /** How long ago the directory was empty: one that is young does not know of every call. */
      readonly directoryAgeMs: number;
      readonly members: readonly Member[];
      /** Calls of this node that others have taken since, with the epoch that was this node's. */
      readonly taken: readonly (CallName & { readonly epoch: number })[];
    }
  /** Another process has this node's name. */
  | { readonly type: 'replaced'; readonly taken: readonly (CallName & { readonly epoch: number })[] };

/** Who holds a call. */
export interface Ownership {
  readonly epoch: number;
  readonly owner: string;
  /** Undefined: the owner's lease has run out. */
  readonly member: Member | undefined;
  /** The owner has put the call down on purpose: whoever takes it may. */
  readonly isReleased: boolean;
}

export type ClaimAnswer =
  /** `epoch`: the call is this node's from now on, or was already. */
  | { readonly type: 'claimed'; readonly epoch: number }
  | ({ readonly type: 'held' } & Ownership)
  | { readonly type: 'tenant_full' };

export type LookupAnswer =
  | ({ readonly type: 'held'; readonly name: CallName } & Ownership)
  /** It is over; its summary is still known. */
  | { readonly type: 'over'; readonly name: CallName; readonly owner: string; readonly member: Member | undefined }
  /** Several tenants use this callId. */
  | { readonly type: 'ambiguous'; readonly tenantCount: number }
  /** `directoryAgeMs`: one that is young does not know of every call. */
  | { readonly type: 'unknown'; readonly directoryAgeMs: number };

export type TakeOverAnswer =
  /** `snapshot`: as it was saved last, `savedMsAgo`. */
  | { readonly type: 'taken'; readonly epoch: number; readonly snapshot: string; readonly savedMsAgo: number }
  /** Another node was quicker, or the call is over by now. */
  | { readonly type: 'outdone' }
  /** Its owner lives. */
  | { readonly type: 'alive' }
  /** Its owner died before there was anything to go on with: nobody has the call any more. */
  | { readonly type: 'gone' };

/**
 * What the nodes of a cluster know together: who is there, and who holds which call. Every change of a call's owner raises
 * its epoch, and epochs only rise, over all calls: whoever has an older one has lost the call. All of it is atomic.
 *
 * @throws {DirectoryAway} from every method while the directory does not answer
 */
export interface Directory {
  /** @param leaseMs how long the node counts as living without being heard of */
  join(node: NodeRecord, leaseMs: number): Promise<JoinAnswer>;
  renew(node: NodeRecord, leaseMs: number): Promise<RenewAnswer>;
  /** The node leaves; calls it still holds may be taken at once. */
  leave(node: NodeRecord): Promise<void>;
  /**
   * A call that is to begin at `instance`.
   * @param tenantLimit most calls of its tenant; undefined: any number
   * @param keptMs how long the entry stays without being touched
   */
  claim(name: CallName, instance: string, tenantLimit: number | undefined, keptMs: number): Promise<ClaimAnswer>;
  /** @param tenantId undefined: whichever tenant's it is */
  lookup(tenantId: string | undefined, callId: string): Promise<LookupAnswer>;
  /**
   * Keeps what the call needs to go on elsewhere.
   * @param isReleased whoever takes the call from now on may; absent: no longer
   * @returns whether the call is still this epoch's
   */
  save(name: CallName, epoch: number, snapshot: string, keptMs: number, isReleased?: boolean): Promise<boolean>;
  /** The call goes on: its entry is kept for longer. @returns the names whose epochs are outdone */
  touch(calls: readonly (CallName & { readonly epoch: number })[], keptMs: number): Promise<CallName[]>;
  /**
   * Takes a call over from an owner that does not live, or has released it.
   * @param leaseLeftMs an owner with no more than this left of its lease counts as dead
   */
  takeOver(name: CallName, fromEpoch: number, instance: string, leaseLeftMs: number): Promise<TakeOverAnswer>;
  /** The call is over. @returns whether it was still this epoch's */
  conclude(name: CallName, epoch: number, summary: string, keptMs: number): Promise<boolean>;
  /** A call that did not begin after all. */
  withdraw(name: CallName, epoch: number): Promise<void>;
  /** The answer to whoever asks for the end of a call that is over; undefined: it is not known any more. */
  summaryOf(name: CallName): Promise<string | undefined>;
  /**
   * Tells an empty or young directory of a call that goes on.
   * @param epoch 0: it began without the directory
   * @returns the call's epoch, or undefined: another node holds it with a higher one
   */
  register(
    name: CallName,
    epoch: number,
    instance: string,
    snapshot: string,
    keptMs: number,
  ): Promise<number | undefined>;
  /** Calls that an instance holds. */
  callsOf(instance: string): Promise<readonly (CallName & { readonly epoch: number })[]>;
  close(): Promise<void>;
}

/** The directory does not answer: nobody knows who holds what. */
export class DirectoryAway extends Error {
  readonly code = 'directory_away';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DirectoryAway';
  }
}
