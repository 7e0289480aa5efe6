import type { Logger } from 'pino';
import type { CallInfo } from '../call/call-info.ts';
import { CallError } from '../call/errors.ts';
import type { Summary } from '../call/record/record.ts';
import type { Departure } from '../call/reply/poll-wait.ts';
import { monotonicNowMs } from '../clock.ts';
import { ApiError } from '../http/errors.ts';
import type { CallGateway, CallSession, Scope } from '../http/gateway.ts';
import { quote } from '../http/quote.ts';
import type { CreateAnswer, CreateBody, Health, Readiness } from '../http/schemas.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { type CallName, type Directory, DirectoryAway, type Member, type Ownership } from './directory.ts';
import { type HeldCall, HeldCalls, keyOf } from './held-calls.ts';
import { LEASE_MS, type Membership } from './membership.ts';
import { NotHere, type Peers, PeerUnreachable } from './peers.ts';
import type { CallRouter, LocalCalls, TakeOver } from './router.ts';
import { type SnapshotStore, Snapshots } from './snapshots.ts';

/** How long a call that is over is known by its name. */
const OVER_KEPT_MS = 600_000;
/** Beyond the time after which an idle call ends: whatever happens, nothing of a call is kept for longer. */
const KEPT_BEYOND_IDLE_MS = 300_000;
const TOUCH_EVERY_MS = 30_000;
const LIST_TIMEOUT_MS = 2_000;
/** For the time that the other node takes beyond the AI's. */
const CREATE_GRACE_MS = 5_000;
const CREATE_ATTEMPTS = 20;
const CREATE_RETRY_MS = 200;
const HANDED_OVER_AT_ONCE = 8;
const HAND_OVER_LOOK_MS = 50;
const HAND_OVER_TIMEOUT_MS = 3_000;

/** One node's own calls. */
export interface LocalGateway extends CallGateway {
  /** `live`: it goes on here, or still has something to deliver; `over`: only its summary is left. */
  standingOf(scope: Scope, callId: string): 'live' | 'over' | undefined;
  /** Whether a session of this name is here that has not ended. */
  hasOpen(name: CallName): boolean;
  /** What a call that goes on here needs to go on elsewhere; undefined: it does not go on. */
  snapshotOf(name: CallName): string | undefined;
  /**
   * Goes on with a call that another node had, from its snapshot. It takes requests when this returns.
   * @throws {Error} when the snapshot cannot be read
   */
  resume(snapshot: string, origin: Origin): void;
  /** Ends a call that another node had and that nobody asked for any more; resolves when its summary is safe. */
  conclude(snapshot: string, origin: Origin): Promise<void>;
  /** Forgets a call that goes on elsewhere: no summary, no tool, nothing more to its client. */
  letGo(name: CallName): void;
  /** Whether nobody would hear it if the call went on elsewhere now: no speech either way, no tool, no answer due. */
  isQuiet(name: CallName): boolean;
}

/** Where a call comes from that goes on here. */
export interface Origin {
  readonly reason: 'node_died' | 'handed_over';
  /** Since its snapshot was saved. */
  readonly savedMsAgo: number;
  /** Since its old node was last heard of. */
  readonly silentMs: number;
}

export interface ClusterGatewayOptions {
  readonly local: LocalGateway;
  readonly directory: Directory;
  readonly instance: string;
  readonly maxSessionsPerTenant: number | undefined;
  readonly idleTimeoutMs: number;
  readonly createTimeoutMs: number;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'clusterLetGo'>;
}

/** The other nodes, where there are any. */
export interface Links {
  readonly membership: Membership;
  readonly peers: Peers;
  readonly router: CallRouter;
}

/**
 * The calls of all nodes, as the routes see them: creating asks the directory first, so that one callId opens one session
 * and a tenant's limit holds over all nodes. By itself a node has a directory of its own.
 */
export class ClusterGateway implements CallGateway, LocalCalls, SnapshotStore {
  readonly #options: ClusterGatewayOptions;
  readonly #local: LocalGateway;
  readonly #directory: Directory;
  readonly #held = new HeldCalls();
  /** Calls that were over while the directory was away. */
  readonly #unconcluded = new Map<HeldCall, Summary>();
  readonly #snapshots = new Snapshots(this);
  /** Since when dead nodes with calls are known to be dead. */
  readonly #deadSinceMs = new Map<string, number>();
  readonly #takingOver = new Map<string, Promise<TakeOver>>();
  /** Calls that come to be here at the moment, created or taken over. */
  readonly #arriving = new Map<string, Promise<unknown>>();
  readonly #keptMs: number;
  #links: Links | undefined;
  #touching: NodeJS.Timeout | undefined;

  constructor(options: ClusterGatewayOptions) {
    this.#options = options;
    this.#local = options.local;
    this.#directory = options.directory;
    this.#keptMs = options.idleTimeoutMs + KEPT_BEYOND_IDLE_MS;
    this.#touching = setInterval(() => void this.#touch(), TOUCH_EVERY_MS).unref();
  }

  /** There are other nodes from now on. */
  connect(links: Links): void {
    this.#links = links;
  }

  async createSession(scope: Scope, body: CreateBody, requestId: string, client: Departure): Promise<CreateAnswer> {
    await this.#links?.membership.joined;
    const name = { tenantId: this.#local.tenantOf(scope, body), callId: body.callId };
    for (let attempt = 1; ; attempt++) {
      if (!this.#local.hasOpen(name)) await this.#finished(name);
      if (this.#local.hasOpen(name)) return this.#here(await this.#local.createSession(scope, body, requestId, client));
      const arriving = this.#arriving.get(keyOf(name));
      if (arriving) {
        await arriving.catch(() => {});
        if (this.#local.hasOpen(name)) continue;
      }
      const guest = attempt === 1 ? this.#guestOf(scope) : undefined;
      const answer = guest
        ? await this.#createAt(guest, name.tenantId, body, requestId, client)
        : await this.#createHere(name, scope, body, requestId, client);
      if (answer) return answer;
      if (attempt === CREATE_ATTEMPTS) throw this.#unreachable(body.callId);
      await new Promise((resolve) => setTimeout(resolve, CREATE_RETRY_MS));
    }
  }

  tenantOf(scope: Scope, body: Pick<CreateBody, 'tenantId'>): string {
    return this.#local.tenantOf(scope, body);
  }

  findSession(scope: Scope, callId: string): CallSession {
    return this.#local.findSession(scope, callId);
  }

  /** A node that does not answer is left out. */
  runningCalls(): Iterable<CallSession> {
    return this.#local.runningCalls();
  }

  async listSessions(scope: Scope): Promise<CallInfo[]> {
    const own = await this.#local.listSessions(scope);
    const links = this.#links;
    if (!links || scope.isFromNode) return own;
    const others = await Promise.all(
      links.membership.others.map((member) =>
        links.peers
          .ask<{ sessions: CallInfo[] }>(member, {
            method: 'GET',
            path: '/api/voice/sessions',
            scope,
            timeoutMs: LIST_TIMEOUT_MS,
          })
          .then(
            ({ sessions }) => sessions,
            (err: Error) => {
              this.#options.log.warn({ err, nodeId: member.nodeId }, 'a node is missing from a list of calls');
              return [];
            },
          ),
      ),
    );
    return [own, ...others].flat().sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  }

  health(): Health {
    return this.#local.health();
  }

  readiness(): Readiness {
    if (this.#links?.membership.isReplaced) {
      return { ready: false, reason: 'another process runs as this node of the cluster' };
    }
    return this.#local.readiness();
  }

  metrics(): Promise<{ contentType: string; text: string }> {
    return this.#local.metrics();
  }

  /** Calls that this node holds, for whoever has to be told. */
  get held(): HeldCalls {
    return this.#held;
  }

  // What this node's calls tell

  /** Something of a call has changed that another node would need to know. */
  changed(name: CallName): void {
    const held = this.#links && this.#held.get(name);
    if (held) this.#snapshots.changed(held);
  }

  /**
   * Whether this node may do something for a call that must not be done twice: run a tool, send a summary. What the call
   * is about to do is in its snapshot from then on.
   */
  async mayAct(name: CallName): Promise<boolean> {
    if (!this.#links) return true;
    const held = this.#held.get(name);
    return held !== undefined && (await this.#snapshots.save(held));
  }

  /** A call that this node held is over, and its summary is safe. */
  async concluded(name: CallName, summary: Summary): Promise<void> {
    const held = this.#held.get(name);
    if (!held) return;
    this.#held.delete(held);
    await this.#conclude(held, summary);
  }

  async #conclude(held: HeldCall, summary: Summary): Promise<void> {
    if (held.epoch === 0) return;
    const done = await this.#asked(() =>
      this.#directory.conclude(held.name, held.epoch, JSON.stringify(summary), OVER_KEPT_MS),
    );
    if (done === undefined) this.#unconcluded.set(held, summary);
  }

  // What the snapshots ask

  snapshotOf({ name }: HeldCall): string | undefined {
    return this.#local.snapshotOf(name);
  }

  async save({ name, epoch }: HeldCall, snapshot: string, isReleased: boolean): Promise<boolean> {
    if (epoch === 0) return true;
    return (await this.#asked(() => this.#directory.save(name, epoch, snapshot, this.#keptMs, isReleased))) ?? true;
  }

  async holds({ name, epoch }: HeldCall): Promise<boolean> {
    if (epoch === 0) return true;
    const outdone = await this.#asked(() => this.#directory.touch([{ ...name, epoch }], this.#keptMs));
    return outdone === undefined || outdone.length === 0;
  }

  onOutdone(held: HeldCall): void {
    this.#letGo(held, 'taken');
  }

  // What the cluster tells

  /** Others have taken these calls. */
  taken(calls: readonly (CallName & { readonly epoch: number })[]): void {
    for (const { epoch, ...name } of calls) {
      const held = this.#held.get(name);
      if (held?.epoch === epoch) this.#letGo(held, 'taken');
    }
  }

  /** Tells the directory of every call that goes on here: it may have forgotten, or never have known. */
  async register(): Promise<void> {
    for (const [held, summary] of [...this.#unconcluded]) {
      this.#unconcluded.delete(held);
      await this.#conclude(held, summary);
    }
    for (const held of this.#held.all()) {
      const snapshot = this.#local.snapshotOf(held.name);
      if (snapshot === undefined) continue;
      const { instance } = this.#options;
      const answer = await this.#asked(() =>
        this.#directory.register(held.name, held.epoch, instance, snapshot, this.#keptMs).then((epoch) => ({ epoch })),
      );
      // Away again: it will be asked again.
      if (!answer) return;
      if (answer.epoch === undefined) this.#letGo(held, 'taken');
      else held.epoch = answer.epoch;
    }
  }

  /** Ends the calls of dead nodes that nobody has asked for until now. */
  async sweep(): Promise<void> {
    const { membership } = this.#links ?? {};
    if (!membership || membership.isAway) return;
    const nowMs = monotonicNowMs();
    const dead = membership.dead.filter(({ callCount }) => callCount > 0).map(({ instance }) => instance);
    for (const instance of this.#deadSinceMs.keys()) if (!dead.includes(instance)) this.#deadSinceMs.delete(instance);
    for (const instance of dead) {
      const sinceMs = this.#deadSinceMs.get(instance) ?? nowMs;
      this.#deadSinceMs.set(instance, sinceMs);
      if (nowMs - sinceMs < this.#options.idleTimeoutMs) continue;
      const calls = (await this.#asked(() => this.#directory.callsOf(instance))) ?? [];
      for (const { epoch, ...name } of calls) await this.#endOrphan(name, epoch, nowMs - sinceMs);
    }
  }

  async #endOrphan(name: CallName, epoch: number, silentMs: number): Promise<void> {
    const answer = await this.#asked(() => this.#directory.takeOver(name, epoch, this.#options.instance, 0));
    if (answer?.type !== 'taken') return;
    this.#held.set(name, answer.epoch);
    const { snapshot, savedMsAgo } = answer;
    await this.#local.conclude(snapshot, { reason: 'node_died', savedMsAgo, silentMs });
  }

  /**
   * Passes every call on to other nodes, each at a quiet moment; what is left after `graceMs` at whatever moment it is.
   * Calls that no other node takes stay.
   */
  async handOver(graceMs: number): Promise<void> {
    const endsAtMs = monotonicNowMs() + graceMs;
    for (;;) {
      const { membership } = this.#links ?? {};
      const calls = this.#held.all().filter(({ name }) => this.#local.snapshotOf(name) !== undefined);
      if (!membership || membership.isAway || membership.others.length === 0 || calls.length === 0) return;
      const isOver = monotonicNowMs() >= endsAtMs;
      const ready = calls.filter(({ name }) => isOver || this.#local.isQuiet(name));
      for (let at = 0; at < ready.length; at += HANDED_OVER_AT_ONCE) {
        await Promise.all(ready.slice(at, at + HANDED_OVER_AT_ONCE).map((held, index) => this.#handOver(held, index)));
      }
      if (isOver) return;
      await new Promise((resolve) => setTimeout(resolve, HAND_OVER_LOOK_MS));
    }
  }

  /** @param turn spreads calls over the nodes that have room */
  async #handOver(held: HeldCall, turn: number): Promise<void> {
    const { membership, peers, router } = this.#links!;
    const targets = membership.others.toSorted((a, b) => a.callCount - b.callCount);
    const { name } = held;
    if (targets.length === 0 || !(await this.#snapshots.release(held))) return;
    for (let at = 0; at < targets.length; at++) {
      const member = targets[(turn + at) % targets.length]!;
      try {
        await peers.ask(member, {
          method: 'GET',
          path: `/api/voice/session/${encodeURIComponent(name.callId)}`,
          scope: { tenantId: name.tenantId },
          timeoutMs: HAND_OVER_TIMEOUT_MS,
        });
        router.learn(name, member.instance);
        this.#letGo(held, 'handed_over');
        return;
      } catch (err) {
        this.#options.log.warn({ err, ...name, nodeId: member.nodeId }, 'a node did not take a call over');
      }
    }
    // Nobody has it: it is no longer for whoever comes.
    await this.#snapshots.save(held);
  }

  #letGo(held: HeldCall, reason: 'taken' | 'handed_over'): void {
    if (this.#held.get(held.name) !== held) return;
    this.#held.delete(held);
    this.#options.metrics.clusterLetGo.inc({ reason });
    this.#options.log.info({ ...held.name, reason }, 'call let go: it goes on at another node');
    this.#local.letGo(held.name);
  }

  close(): void {
    clearInterval(this.#touching);
  }

  // What the router asks of this node's calls

  standingOf(scope: Scope, callId: string): 'live' | 'over' | undefined {
    return this.#local.standingOf(scope, callId);
  }

  arrival({ tenantId }: Scope, callId: string): Promise<unknown> | undefined {
    if (tenantId !== undefined) return this.#arriving.get(keyOf({ tenantId, callId }))?.catch(() => {});
    const ending = `/${callId}`;
    for (const [key, arriving] of this.#arriving) if (key.endsWith(ending)) return arriving.catch(() => {});
    return undefined;
  }

  takeOver(name: CallName, ownership: Ownership, leaseLeftMs: number): Promise<TakeOver> {
    const key = keyOf(name);
    const under = this.#takingOver.get(key);
    if (under) return under;
    const taking = this.#takeOver(name, ownership, leaseLeftMs).finally(() => {
      this.#takingOver.delete(key);
      this.#arriving.delete(key);
    });
    this.#takingOver.set(key, taking);
    this.#arriving.set(key, taking);
    return taking;
  }

  async #takeOver(name: CallName, { epoch, member, isReleased }: Ownership, deadLeaseMs: number): Promise<TakeOver> {
    const answer = await this.#directory.takeOver(name, epoch, this.#options.instance, deadLeaseMs);
    switch (answer.type) {
      case 'alive':
        return 'not_yet';
      case 'gone':
        return 'nowhere';
      case 'outdone':
        return 'elsewhere';
    }
    const held = this.#held.set(name, answer.epoch);
    const { snapshot, savedMsAgo } = answer;
    const silentMs = isReleased ? savedMsAgo : LEASE_MS - (member?.leaseLeftMs ?? 0);
    try {
      this.#local.resume(snapshot, { reason: isReleased ? 'handed_over' : 'node_died', savedMsAgo, silentMs });
    } catch (err) {
      this.#options.log.error({ err, ...name }, 'a call cannot be taken over: its snapshot is of no use');
      await this.#withdraw(held);
      return 'nowhere';
    }
    return 'here';
  }

  // Inside

  /** @returns undefined: the owner could not be asked, so that it is to be looked for again */
  async #createHere(
    name: CallName,
    scope: Scope,
    body: CreateBody,
    requestId: string,
    client: Departure,
  ): Promise<CreateAnswer | undefined> {
    const done = Promise.withResolvers<void>();
    const key = keyOf(name);
    // Until the session is in the table, nobody else may come as far.
    this.#arriving.set(key, done.promise);
    try {
      const claim = await this.#claim(name);
      if ('owner' in claim) return await this.#createAtOwner(claim, name, body, requestId, client);
      try {
        const creating = this.#local.createSession(scope, body, requestId, client);
        return this.#here(await creating);
      } catch (error) {
        if (!this.#local.standingOf({ tenantId: name.tenantId }, name.callId)) await this.#withdraw(claim);
        throw error;
      }
    } finally {
      this.#arriving.delete(key);
      done.resolve();
    }
  }

  async #claim(name: CallName): Promise<HeldCall | Ownership> {
    const { instance, maxSessionsPerTenant } = this.#options;
    // Without the directory the call begins all the same; it is registered as soon as there is one again.
    const claim = await this.#asked(() => this.#directory.claim(name, instance, maxSessionsPerTenant, this.#keptMs));
    if (claim === undefined) return this.#held.set(name, 0);
    if (claim.type === 'claimed') return this.#held.set(name, claim.epoch);
    if (claim.type === 'held') return claim;
    throw new CallError('tenant_full', { maxSessions: maxSessionsPerTenant ?? 0 });
  }

  async #withdraw(held: HeldCall): Promise<void> {
    this.#held.delete(held);
    if (held.epoch > 0) await this.#asked(() => this.#directory.withdraw(held.name, held.epoch));
  }

  async #createAtOwner(
    ownership: Ownership,
    name: CallName,
    body: CreateBody,
    requestId: string,
    client: Departure,
  ): Promise<CreateAnswer | undefined> {
    const { member, isReleased } = ownership;
    const { membership } = this.#links ?? {};
    const deadMs = membership?.deadLeaseLeftMs(ownership.owner, false) ?? 0;
    if (!member || isReleased || member.leaseLeftMs <= deadMs) {
      await this.#asked(() => this.takeOver(name, ownership, deadMs));
      return undefined;
    }
    return await this.#createAt(member, name.tenantId, body, requestId, client);
  }

  /** @returns undefined: it does not answer */
  async #createAt(
    member: Member,
    tenantId: string,
    body: CreateBody,
    requestId: string,
    client: Departure,
  ): Promise<CreateAnswer | undefined> {
    const { peers, router } = this.#links!;
    try {
      const answer = await peers.ask<CreateAnswer>(member, {
        method: 'POST',
        path: '/api/voice/session/create',
        scope: { tenantId },
        body,
        timeoutMs: this.#options.createTimeoutMs + CREATE_GRACE_MS,
        requestId,
        client,
      });
      router.learn({ tenantId, callId: body.callId }, member.instance);
      return answer;
    } catch (error) {
      if (error instanceof NotHere || error instanceof PeerUnreachable) return undefined;
      throw error;
    }
  }

  /** A node that takes the calls that this one may not take any more; undefined: they are taken or refused here. */
  #guestOf(scope: Scope): Member | undefined {
    if (!this.#links || scope.isFromNode || this.#local.readiness().ready) return undefined;
    return this.#links.membership.others.toSorted((a, b) => a.callCount - b.callCount)[0];
  }

  /** An earlier call of this name that is over here is concluded before another begins. */
  async #finished(name: CallName): Promise<void> {
    if (!this.#held.get(name) || !this.#local.standingOf({ tenantId: name.tenantId }, name.callId)) return;
    await this.#local.findSession({ tenantId: name.tenantId }, name.callId).end();
  }

  #here(answer: CreateAnswer): CreateAnswer {
    if (!this.#links) return answer;
    const { url } = this.#links.membership.self;
    return { ...answer, streamUrl: `${url}/api/voice/stream/${encodeURIComponent(answer.sessionId)}` };
  }

  #unreachable(callId: string): ApiError {
    return new ApiError(
      'node_unreachable',
      `callId is ${quote(callId)}, but the node that has the call does not answer`,
    );
  }

  async #touch(): Promise<void> {
    const calls = this.#held.all().filter(({ epoch }) => epoch > 0);
    await this.#asked(() =>
      this.#directory.touch(
        calls.map(({ name, epoch }) => ({ ...name, epoch })),
        this.#keptMs,
      ),
    );
  }

  /** Asks the directory; undefined while it is away. */
  async #asked<T>(ask: () => Promise<T>): Promise<T | undefined> {
    if (this.#links?.membership.isAway) return undefined;
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof DirectoryAway)) throw error;
      this.#links?.membership.noteAway(error);
      return undefined;
    }
  }
}
