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
} from '../directory.ts';
import { RedisConnection } from './connection.ts';
import * as scripts from './scripts.ts';

type RawMember = [instance: string, record: string, leaseLeftMs: number, callCount: number];
type RawOwnership = [epoch: number, owner: string, record: string, leaseLeftMs: number, isReleased: number];

/** The directory in Redis 7 or Valkey 8. */
export class RedisDirectory implements Directory {
  readonly #redis: RedisConnection;

  private constructor(redis: RedisConnection) {
    this.#redis = redis;
  }

  /** @throws {Error} saying why nobody answers there */
  static async open(url: string): Promise<RedisDirectory> {
    return new RedisDirectory(await RedisConnection.open(url));
  }

  async join(node: NodeRecord, leaseMs: number): Promise<JoinAnswer> {
    const { instance, nodeId, keyPrint } = node;
    const [type, detail, leaseLeftMs] = (await this.#redis.run(
      scripts.JOIN,
      instance,
      nodeId,
      JSON.stringify(node),
      keyPrint,
      leaseMs,
    )) as ['joined', number, undefined] | ['name_taken' | 'other_key', string, number];
    if (type === 'joined') return { type, wallClockMs: detail };
    // Its lease may have run out between one look and the other.
    return { type, by: detail === '' ? node : (JSON.parse(detail) as NodeRecord), leaseLeftMs };
  }

  async renew(node: NodeRecord, leaseMs: number): Promise<RenewAnswer> {
    const answer = (await this.#redis.run(
      scripts.RENEW,
      node.instance,
      node.nodeId,
      JSON.stringify(node),
      leaseMs,
    )) as unknown as ['replaced', string[]] | ['renewed', number, number, RawMember[], string[]];
    if (answer[0] === 'replaced') return { type: 'replaced', taken: answer[1].map(namedEpoch) };
    const [type, lapsed, directoryAgeMs, members, lost] = answer;
    return {
      type,
      hadLapsed: lapsed === 1,
      directoryAgeMs,
      members: members.map(([instance, record, left, count]) => memberOf(instance, record, left, count)),
      taken: lost.map(namedEpoch),
    };
  }

  async leave({ instance, nodeId }: NodeRecord): Promise<void> {
    await this.#redis.run(scripts.LEAVE, instance, nodeId);
  }

  async claim(
    { tenantId, callId }: CallName,
    instance: string,
    tenantLimit: number | undefined,
    keptMs: number,
  ): Promise<ClaimAnswer> {
    const answer = (await this.#redis.run(
      scripts.CLAIM,
      tenantId,
      callId,
      instance,
      tenantLimit ?? 0,
      keptMs,
    )) as unknown as ['claimed', number] | ['held', RawOwnership] | ['tenant_full'];
    switch (answer[0]) {
      case 'claimed':
        return { type: 'claimed', epoch: answer[1] };
      case 'held':
        return { type: 'held', ...ownershipOf(answer[1]) };
      default:
        return { type: 'tenant_full' };
    }
  }

  async lookup(tenantId: string | undefined, callId: string): Promise<LookupAnswer> {
    const answer = (await this.#redis.run(scripts.LOOKUP, tenantId ?? '', callId)) as unknown as
      | ['held', RawOwnership, string]
      | ['over', RawOwnership, string]
      | ['ambiguous', number]
      | ['unknown', number];
    if (answer[0] === 'ambiguous') return { type: 'ambiguous', tenantCount: answer[1] };
    if (answer[0] === 'unknown') return { type: 'unknown', directoryAgeMs: answer[1] };
    const name = { tenantId: answer[2], callId };
    const ownership = ownershipOf(answer[1]);
    if (answer[0] === 'held') return { type: 'held', name, ...ownership };
    return { type: 'over', name, owner: ownership.owner, member: ownership.member };
  }

  async save(name: CallName, epoch: number, snapshot: string, keptMs: number, isReleased = false): Promise<boolean> {
    const { tenantId, callId } = name;
    const released = isReleased ? 1 : 0;
    return (await this.#redis.run(scripts.SAVE, tenantId, callId, epoch, snapshot, keptMs, released)) === 1;
  }

  async touch(calls: readonly (CallName & { readonly epoch: number })[], keptMs: number): Promise<CallName[]> {
    if (calls.length === 0) return [];
    const args = calls.flatMap(({ tenantId, callId, epoch }) => [tenantId, callId, epoch]);
    return ((await this.#redis.run(scripts.TOUCH, keptMs, ...args)) as string[]).map(nameOf);
  }

  async takeOver(
    { tenantId, callId }: CallName,
    fromEpoch: number,
    instance: string,
    leaseLeftMs: number,
  ): Promise<TakeOverAnswer> {
    const answer = (await this.#redis.run(
      scripts.TAKE_OVER,
      tenantId,
      callId,
      fromEpoch,
      instance,
      leaseLeftMs,
    )) as unknown as ['taken', number, string, number] | ['outdone' | 'alive' | 'gone'];
    return answer[0] === 'taken'
      ? { type: 'taken', epoch: answer[1], snapshot: answer[2], savedMsAgo: answer[3] }
      : { type: answer[0] as 'outdone' };
  }

  async conclude({ tenantId, callId }: CallName, epoch: number, summary: string, keptMs: number): Promise<boolean> {
    return (await this.#redis.run(scripts.CONCLUDE, tenantId, callId, epoch, summary, keptMs)) === 1;
  }

  async withdraw({ tenantId, callId }: CallName, epoch: number): Promise<void> {
    await this.#redis.run(scripts.WITHDRAW, tenantId, callId, epoch);
  }

  async summaryOf({ tenantId, callId }: CallName): Promise<string | undefined> {
    return ((await this.#redis.run(scripts.SUMMARY, tenantId, callId)) as string | null) ?? undefined;
  }

  async register(
    { tenantId, callId }: CallName,
    epoch: number,
    instance: string,
    snapshot: string,
    keptMs: number,
  ): Promise<number | undefined> {
    const args = [tenantId, callId, epoch, instance, snapshot, keptMs];
    const held = (await this.#redis.run(scripts.REGISTER, ...args)) as number;
    return held === 0 ? undefined : held;
  }

  async callsOf(instance: string): Promise<(CallName & { readonly epoch: number })[]> {
    return ((await this.#redis.run(scripts.CALLS_OF, instance)) as string[]).map(namedEpoch);
  }

  close(): Promise<void> {
    this.#redis.close();
    return Promise.resolve();
  }
}

function memberOf(instance: string, record: string, leaseLeftMs: number, callCount: number): Member {
  // Of a node that died only its instance is left.
  const node = record === '' ? { nodeId: '', url: '', keyPrint: '' } : (JSON.parse(record) as NodeRecord);
  return { ...node, instance, leaseLeftMs, callCount };
}

function ownershipOf([epoch, owner, record, leaseLeftMs, isReleased]: RawOwnership): Ownership {
  const member = record === '' ? undefined : memberOf(owner, record, leaseLeftMs, 0);
  return { epoch, owner, member, isReleased: isReleased === 1 };
}

function nameOf(text: string): CallName {
  const [tenantId = '', callId = ''] = text.split('/');
  return { tenantId, callId };
}

function namedEpoch(text: string): CallName & { readonly epoch: number } {
  return { ...nameOf(text), epoch: Number(text.split('/')[2]) };
}
