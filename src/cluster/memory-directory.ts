import { type Clock, monotonicNowMs } from '../clock.ts';
import type {
  CallName,
  ClaimAnswer,
  Directory,
  JoinAnswer,
  LookupAnswer,
  Member,
  NodeRecord,
  Ownership,
  RenewAnswer,
  TakeOverAnswer,
} from './directory.ts';

interface Call {
  readonly name: CallName;
  owner: string;
  epoch: number;
  isOpen: boolean;
  isReleased: boolean;
  snapshot: string | undefined;
  savedAtMs: number;
  summary: string | undefined;
  expiresAtMs: number;
}

interface Lease {
  readonly node: NodeRecord;
  expiresAtMs: number;
}

/** The directory of one process: what a gateway uses that is a node by itself. It answers at once and costs a map. */
export class MemoryDirectory implements Directory {
  readonly #nowMs: Clock;
  readonly #sinceMs: number;
  readonly #calls = new Map<string, Call>();
  readonly #openByTenant = new Map<string, Set<string>>();
  readonly #leases = new Map<string, Lease>();
  readonly #lost = new Map<string, (CallName & { readonly epoch: number })[]>();
  #lastEpoch = 0;

  constructor(nowMs: Clock = monotonicNowMs) {
    this.#nowMs = nowMs;
    this.#sinceMs = nowMs();
  }

  async join(node: NodeRecord, leaseMs: number): Promise<JoinAnswer> {
    for (const { node: other } of this.#living()) {
      if (other.instance === node.instance) continue;
      const by = { by: other, leaseLeftMs: this.#leaseLeftMs(other.instance) };
      if (other.nodeId === node.nodeId) return { type: 'name_taken', ...by };
      if (other.keyPrint !== node.keyPrint) return { type: 'other_key', ...by };
    }
    this.#leases.set(node.instance, { node, expiresAtMs: this.#nowMs() + leaseMs });
    return { type: 'joined', wallClockMs: Date.now() };
  }

  async renew(node: NodeRecord, leaseMs: number): Promise<RenewAnswer> {
    const rival = this.#living().find(({ node: other }) => other.nodeId === node.nodeId);
    const taken = this.#lost.get(node.instance) ?? [];
    this.#lost.delete(node.instance);
    if (rival && rival.node.instance !== node.instance) return { type: 'replaced', taken };
    const hadLapsed = this.#leaseLeftMs(node.instance) === 0;
    this.#leases.set(node.instance, { node, expiresAtMs: this.#nowMs() + leaseMs });
    const members: Member[] = [];
    for (const { node: other } of this.#leases.values()) {
      const callCount = (await this.callsOf(other.instance)).length;
      const leaseLeftMs = this.#leaseLeftMs(other.instance);
      if (leaseLeftMs === 0 && callCount === 0) this.#leases.delete(other.instance);
      else members.push({ ...other, leaseLeftMs, callCount });
    }
    return { type: 'renewed', hadLapsed, directoryAgeMs: this.#nowMs() - this.#sinceMs, members, taken };
  }

  async leave({ instance }: NodeRecord): Promise<void> {
    const lease = this.#leases.get(instance);
    if (lease) lease.expiresAtMs = 0;
  }

  async claim(name: CallName, instance: string, tenantLimit: number | undefined, keptMs: number): Promise<ClaimAnswer> {
    const known = this.#open(name);
    if (known?.owner === instance) return { type: 'claimed', epoch: known.epoch };
    if (known) return { type: 'held', ...this.#ownership(known) };
    if (tenantLimit !== undefined && this.#openCount(name.tenantId) >= tenantLimit) return { type: 'tenant_full' };
    this.#lastEpoch += 1;
    this.#put({
      name: { tenantId: name.tenantId, callId: name.callId },
      owner: instance,
      epoch: this.#lastEpoch,
      isOpen: true,
      isReleased: false,
      snapshot: undefined,
      savedAtMs: this.#nowMs(),
      summary: undefined,
      expiresAtMs: this.#nowMs() + keptMs,
    });
    return { type: 'claimed', epoch: this.#lastEpoch };
  }

  async lookup(tenantId: string | undefined, callId: string): Promise<LookupAnswer> {
    const found: Call[] = [];
    if (tenantId !== undefined) {
      const call = this.#get({ tenantId, callId });
      if (call) found.push(call);
    } else {
      for (const call of this.#calls.values()) {
        if (call.name.callId === callId && this.#get(call.name)) found.push(call);
      }
    }
    if (found.length > 1) return { type: 'ambiguous', tenantCount: found.length };
    const [call] = found;
    if (!call) return { type: 'unknown', directoryAgeMs: this.#nowMs() - this.#sinceMs };
    const { owner, member, ...rest } = this.#ownership(call);
    if (!call.isOpen) return { type: 'over', name: call.name, owner, member };
    return { type: 'held', name: call.name, owner, member, ...rest };
  }

  async save(name: CallName, epoch: number, snapshot: string, keptMs: number, isReleased = false): Promise<boolean> {
    const call = this.#open(name);
    if (call?.epoch !== epoch) return false;
    call.snapshot = snapshot;
    call.savedAtMs = this.#nowMs();
    call.isReleased = isReleased;
    call.expiresAtMs = this.#nowMs() + keptMs;
    return true;
  }

  async touch(calls: readonly (CallName & { readonly epoch: number })[], keptMs: number): Promise<CallName[]> {
    const outdone: CallName[] = [];
    for (const { tenantId, callId, epoch } of calls) {
      const call = this.#get({ tenantId, callId });
      if (call?.epoch === epoch) call.expiresAtMs = this.#nowMs() + keptMs;
      else if (call) outdone.push({ tenantId, callId });
    }
    return outdone;
  }

  async takeOver(name: CallName, fromEpoch: number, instance: string, leaseLeftMs: number): Promise<TakeOverAnswer> {
    const call = this.#open(name);
    if (call?.epoch !== fromEpoch || call.owner === instance) return { type: 'outdone' };
    if (!call.isReleased && this.#leaseLeftMs(call.owner) > leaseLeftMs) return { type: 'alive' };
    this.#lose(call);
    if (call.snapshot === undefined) {
      this.#remove(call);
      return { type: 'gone' };
    }
    this.#lastEpoch += 1;
    Object.assign(call, { owner: instance, epoch: this.#lastEpoch, isReleased: false });
    return {
      type: 'taken',
      epoch: this.#lastEpoch,
      snapshot: call.snapshot,
      savedMsAgo: this.#nowMs() - call.savedAtMs,
    };
  }

  async conclude(name: CallName, epoch: number, summary: string, keptMs: number): Promise<boolean> {
    const call = this.#open(name);
    if (call?.epoch !== epoch) return false;
    this.#close(call);
    Object.assign(call, { isOpen: false, summary, snapshot: undefined, expiresAtMs: this.#nowMs() + keptMs });
    return true;
  }

  async withdraw(name: CallName, epoch: number): Promise<void> {
    const call = this.#open(name);
    if (call?.epoch === epoch) this.#remove(call);
  }

  async summaryOf(name: CallName): Promise<string | undefined> {
    return this.#get(name)?.summary;
  }

  async register(
    name: CallName,
    epoch: number,
    instance: string,
    snapshot: string,
    keptMs: number,
  ): Promise<number | undefined> {
    this.#lastEpoch = Math.max(this.#lastEpoch, epoch);
    const known = this.#get(name);
    let held = epoch;
    if (known?.isOpen) {
      if (known.owner === instance) held = Math.max(held, known.epoch);
      else if (known.epoch >= epoch) return undefined;
      else this.#lose(known);
    } else if (known && known.epoch > epoch && epoch > 0) return undefined;
    if (held === 0) {
      this.#lastEpoch += 1;
      held = this.#lastEpoch;
    }
    this.#put({
      name: { tenantId: name.tenantId, callId: name.callId },
      owner: instance,
      epoch: held,
      isOpen: true,
      isReleased: false,
      snapshot,
      savedAtMs: this.#nowMs(),
      summary: undefined,
      expiresAtMs: this.#nowMs() + keptMs,
    });
    return held;
  }

  async callsOf(instance: string): Promise<(CallName & { readonly epoch: number })[]> {
    return [...this.#calls.values()]
      .filter((call) => call.owner === instance && call.isOpen && call.expiresAtMs > this.#nowMs())
      .map(({ name, epoch }) => ({ ...name, epoch }));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #living(): Lease[] {
    return [...this.#leases.values()].filter(({ expiresAtMs }) => expiresAtMs > this.#nowMs());
  }

  #leaseLeftMs(instance: string): number {
    return Math.max(0, (this.#leases.get(instance)?.expiresAtMs ?? 0) - this.#nowMs());
  }

  #ownership({ epoch, owner, isReleased }: Call): Ownership {
    const leaseLeftMs = this.#leaseLeftMs(owner);
    const node = this.#leases.get(owner)?.node;
    return {
      epoch,
      owner,
      member: node && leaseLeftMs > 0 ? { ...node, leaseLeftMs, callCount: 0 } : undefined,
      isReleased,
    };
  }

  #get(name: CallName): Call | undefined {
    const call = this.#calls.get(keyOf(name));
    if (!call || call.expiresAtMs > this.#nowMs()) return call;
    this.#remove(call);
    return undefined;
  }

  #open(name: CallName): Call | undefined {
    const call = this.#get(name);
    return call?.isOpen ? call : undefined;
  }

  #openCount(tenantId: string): number {
    const open = this.#openByTenant.get(tenantId);
    if (!open) return 0;
    // Entries that ran out are no longer in the way.
    for (const key of open) this.#get(this.#calls.get(key)!.name);
    return this.#openByTenant.get(tenantId)?.size ?? 0;
  }

  #put(call: Call): void {
    const key = keyOf(call.name);
    this.#calls.set(key, call);
    const { tenantId } = call.name;
    this.#openByTenant.set(tenantId, (this.#openByTenant.get(tenantId) ?? new Set()).add(key));
  }

  #lose({ name, owner, epoch }: Call): void {
    const lost = this.#lost.get(owner) ?? [];
    lost.push({ ...name, epoch });
    this.#lost.set(owner, lost);
  }

  #close({ name }: Call): void {
    const open = this.#openByTenant.get(name.tenantId);
    open?.delete(keyOf(name));
    if (open?.size === 0) this.#openByTenant.delete(name.tenantId);
  }

  #remove(call: Call): void {
    this.#close(call);
    this.#calls.delete(keyOf(call.name));
  }
}

function keyOf({ tenantId, callId }: CallName): string {
  return `${tenantId}/${callId}`;
}
