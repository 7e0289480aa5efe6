import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { type Clock, monotonicNowMs } from '../clock.ts';
import type { CallName, Directory, Member, NodeRecord } from './directory.ts';

/** How long a node counts as living without being heard of. */
export const LEASE_MS = 3_000;
const RENEW_EVERY_MS = 500;
/** How long a directory may take that has answered before. */
const JOIN_PATIENCE_MS = 10_000;
const JOIN_RETRY_MS = 250;
/** A node that has not renewed its lease for so long, and refuses connections, has died. */
const LATE_MS = 800;
/** A node that has not renewed for so long may be asleep: others ask it, and take its calls where it does not answer. */
const UNSURE_MS = 1_500;
/** A directory that was empty, or away, less than this ago may not have been told of every call. */
const YOUNG_MS = 10_000;
/** A wall clock that is off by more is worth a warning. Nothing depends on it but what people read. */
const CLOCK_TOLERANCE_MS = 5_000;

export interface MembershipListener {
  /** Others have taken these calls of this node. */
  onTaken(calls: readonly (CallName & { readonly epoch: number })[]): void;
  /** The directory answers again, or has had this node for dead: it is to be told of every call. */
  onBack(): void;
  onAway(error: Error): void;
  /** Whether a node answers when it is asked, at once. */
  isThere(member: Member): Promise<boolean>;
  /** A node's lease has run out, or it is late with it and does not answer. */
  onDead(instance: string): void;
}

export interface MembershipOptions {
  readonly directory: Directory;
  readonly keyPrint: string;
  readonly log: Logger;
  readonly listener: MembershipListener;
  readonly nowMs?: Clock;
}

interface Seen {
  readonly member: Member;
  readonly atMs: number;
}

/** One node's place in the cluster: renews its lease, and knows the others. */
export class Membership {
  /** Which process this is. */
  readonly instance = randomUUID();
  /** Resolves when the node is in the cluster. */
  readonly joined: Promise<void>;
  readonly #resolveJoined: () => void;
  #self: NodeRecord;
  readonly #directory: Directory;
  readonly #log: Logger;
  readonly #listener: MembershipListener;
  readonly #nowMs: Clock;
  #members = new Map<string, Seen>();
  /** Nodes that are late with their lease, and did not answer when they were asked why. */
  readonly #silent = new Set<string>();
  #renewedAtMs = Number.NEGATIVE_INFINITY;
  /** Since when the directory is known not to know every call. */
  #youngUntilMs = Number.NEGATIVE_INFINITY;
  #isAway = false;
  #isReplaced = false;
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: MembershipOptions) {
    this.#self = { instance: this.instance, nodeId: '', url: '', keyPrint: options.keyPrint };
    this.#directory = options.directory;
    this.#log = options.log;
    this.#listener = options.listener;
    this.#nowMs = options.nowMs ?? monotonicNowMs;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.joined = promise;
    this.#resolveJoined = resolve;
  }

  /**
   * Joins the cluster.
   * @param url where other nodes reach this one; its host and port are the node's name
   * @throws {Error} a sentence: the name is another's, the key is another one
   */
  async join(url: string): Promise<void> {
    this.#self = { ...this.#self, url: url.replace(/\/+$/, ''), nodeId: new URL(url).host };
    await this.#join();
    await this.#renew();
    this.#timer = setTimeout(() => this.#tick(), RENEW_EVERY_MS);
    this.#resolveJoined();
  }

  /** This node, as others know it. */
  get self(): NodeRecord {
    return this.#self;
  }

  /** The directory does not answer. */
  get isAway(): boolean {
    return this.#isAway;
  }

  /** Whether a call that the directory does not know may all the same be on some node. */
  get isDirectoryYoung(): boolean {
    return this.#isAway || this.#nowMs() < this.#youngUntilMs;
  }

  /** Another process has this node's name: it is not part of the cluster. */
  get isReplaced(): boolean {
    return this.#isReplaced;
  }

  /** Whether what this node holds is certainly still its own, as far as it can know without asking. */
  get isSure(): boolean {
    return this.#isAway || this.#nowMs() - this.#renewedAtMs < UNSURE_MS;
  }

  /** Other nodes that live. */
  get others(): Member[] {
    const living: Member[] = [];
    for (const [instance, { member }] of this.#members) {
      if (instance !== this.#self.instance && this.isLiving(instance)) living.push(member);
    }
    return living;
  }

  /** Nodes that died with calls. */
  get dead(): Member[] {
    return [...this.#members.values()].filter(({ member }) => member.leaseLeftMs === 0).map(({ member }) => member);
  }

  get(instance: string): Member | undefined {
    return this.#members.get(instance)?.member;
  }

  /** While the directory is away, whoever lived then counts as living. */
  isLiving(instance: string): boolean {
    const seen = this.#members.get(instance);
    if (!seen || seen.member.leaseLeftMs === 0 || this.#silent.has(instance)) return false;
    return this.#isAway || this.#leaseLeftMs(seen) > 0;
  }

  /** A node that the directory told of, before the next renewal would. */
  learn(member: Member): void {
    if (this.#silent.has(member.instance)) return;
    if (!this.#members.has(member.instance)) this.#members.set(member.instance, { member, atMs: this.#nowMs() });
  }

  /** How little may be left of the lease of a node for it to count as dead. */
  deadLeaseLeftMs(instance: string, isRefusing: boolean): number {
    if (isRefusing) return LEASE_MS - LATE_MS;
    return this.#silent.has(instance) ? LEASE_MS - UNSURE_MS : 0;
  }

  /** The directory failed somebody: it is away until it has renewed the lease. */
  noteAway(error: Error): void {
    if (this.#isAway || this.#isClosed) return;
    this.#isAway = true;
    this.#listener.onAway(error);
  }

  /** Asks the directory now whether this node still holds what it held. */
  async confirm(): Promise<void> {
    await this.#renew();
  }

  /** Leaves the cluster; what it still holds others may take at once. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#renewing?.catch(() => {});
    if (this.#isReplaced || this.#renewedAtMs === Number.NEGATIVE_INFINITY) return;
    await this.#directory.leave(this.#self).catch(() => {});
  }

  async #join(): Promise<void> {
    let leftBeforeMs = Number.POSITIVE_INFINITY;
    const endsAtMs = this.#nowMs() + JOIN_PATIENCE_MS;
    for (;;) {
      const answer = await this.#directory.join(this.#self, LEASE_MS).catch((error: Error) => {
        if (this.#nowMs() > endsAtMs) throw error;
        return undefined;
      });
      if (answer === undefined) continue;
      if (answer.type === 'joined') {
        this.#checkClock(answer.wallClockMs);
        return;
      }
      // A lease that is renewed is that of a node that lives; that of a predecessor which has just died runs out.
      if (answer.leaseLeftMs > leftBeforeMs) throw new Error(refusal(answer.type, this.#self, answer.by));
      leftBeforeMs = answer.leaseLeftMs;
      await new Promise((resolve) => setTimeout(resolve, JOIN_RETRY_MS));
    }
  }

  #checkClock(wallClockMs: number): void {
    const aheadMs = Date.now() - wallClockMs;
    if (Math.abs(aheadMs) < CLOCK_TOLERANCE_MS) return;
    const seconds = Math.round(Math.abs(aheadMs) / 1000);
    this.#log.warn(
      { seconds },
      `this machine's clock is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} that of Redis: calls do not mind, but times in their history will not agree`,
    );
  }

  #tick(): void {
    const startedAtMs = this.#nowMs();
    void this.#renew().finally(() => {
      if (this.#isClosed) return;
      this.#timer = setTimeout(() => this.#tick(), Math.max(50, RENEW_EVERY_MS - (this.#nowMs() - startedAtMs)));
    });
  }

  #renew(): Promise<void> {
    this.#renewing ??= this.#renewOnce().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renewOnce(): Promise<void> {
    const askedAtMs = this.#nowMs();
    let answer: Awaited<ReturnType<Directory['renew']>>;
    try {
      answer = await this.#directory.renew(this.#self, LEASE_MS);
    } catch (error) {
      this.noteAway(error as Error);
      return;
    }
    if (this.#isClosed) return;
    if (answer.taken.length > 0) this.#listener.onTaken(answer.taken);
    if (answer.type === 'replaced') {
      if (!this.#isReplaced) this.#log.error({ nodeId: this.#self.nodeId }, refusal('name_taken', this.#self));
      this.#isReplaced = true;
      return;
    }
    const isFirst = this.#renewedAtMs === Number.NEGATIVE_INFINITY;
    const isBack = this.#isAway || this.#isReplaced || (answer.hadLapsed && !isFirst);
    this.#isAway = false;
    this.#isReplaced = false;
    this.#renewedAtMs = askedAtMs;
    const nowMs = this.#nowMs();
    if (isBack) this.#youngUntilMs = nowMs + YOUNG_MS;
    if (answer.directoryAgeMs < YOUNG_MS) {
      this.#youngUntilMs = Math.max(this.#youngUntilMs, nowMs + YOUNG_MS - answer.directoryAgeMs);
    }
    const before = this.#members;
    this.#members = new Map(answer.members.map((member) => [member.instance, { member, atMs: askedAtMs }]));
    for (const [instance, { member, atMs }] of before) {
      if (member.leaseLeftMs === 0) continue;
      const now = this.#members.get(instance);
      if (now && now.member.leaseLeftMs > 0) continue;
      // A directory that was away or is new has not heard of everybody yet: whoever lived has the time of a lease.
      if (!now && (isBack || answer.directoryAgeMs < LEASE_MS)) {
        this.#members.set(instance, { member: { ...member, leaseLeftMs: LEASE_MS }, atMs: isBack ? nowMs : atMs });
        continue;
      }
      // The record goes with the lease; where it was is still of use.
      if (now) this.#members.set(instance, { ...now, member: { ...member, ...now.member, url: member.url } });
      this.#listener.onDead(instance);
    }
    this.#probe();
    if (isBack) this.#listener.onBack();
  }

  /** Asks those that are late with their lease whether they are there. */
  #probe(): void {
    for (const instance of this.#silent) {
      const leaseLeftMs = this.#members.get(instance)?.member.leaseLeftMs;
      if (leaseLeftMs === undefined || leaseLeftMs > LEASE_MS - UNSURE_MS) this.#silent.delete(instance);
    }
    for (const member of this.others) {
      if (member.leaseLeftMs > LEASE_MS - UNSURE_MS) continue;
      void this.#listener.isThere(member).then((isThere) => {
        if (isThere || this.#isClosed || this.#silent.has(member.instance)) return;
        const seen = this.#members.get(member.instance);
        // It may have been heard of meanwhile.
        if (!seen || seen.member.leaseLeftMs > LEASE_MS - UNSURE_MS) return;
        this.#silent.add(member.instance);
        this.#listener.onDead(member.instance);
      });
    }
  }

  #leaseLeftMs({ member, atMs }: Seen): number {
    return member.leaseLeftMs - (this.#nowMs() - atMs);
  }
}

function refusal(type: 'name_taken' | 'other_key', self: NodeRecord, by?: NodeRecord): string {
  if (type === 'other_key') {
    return `CLUSTER_KEY is not that of the cluster at CLUSTER_URL: node ${by?.nodeId} at ${by?.url} has another one`;
  }
  const where = by && by.url !== self.url ? ` (${by.url})` : '';
  return `NODE_URL is "${self.url}", but another node of the cluster has it already${where}: each node needs one of its own`;
}
