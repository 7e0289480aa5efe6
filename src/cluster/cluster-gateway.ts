import type { Logger } from 'pino';
import type { CallInfo } from '../call/call-info.ts';
import { CallError } from '../call/errors.ts';
import type { Summary } from '../call/record/record.ts';
import type { Departure } from '../call/reply/poll-wait.ts';
import { ApiError } from '../http/errors.ts';
import type { CallGateway, CallSession, Scope } from '../http/gateway.ts';
import { quote } from '../http/quote.ts';
import type { CreateAnswer, CreateBody, Health, Readiness } from '../http/schemas.ts';
import { type CallName, type Directory, DirectoryAway, type Member, type Ownership } from './directory.ts';
import { type HeldCall, HeldCalls, keyOf } from './held-calls.ts';
import type { Membership } from './membership.ts';
import { NotHere, type Peers, PeerUnreachable } from './peers.ts';
import type { CallRouter, LocalCalls } from './router.ts';

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

/** One node's own calls. */
export interface LocalGateway extends CallGateway {
  /** `live`: it goes on here, or still has something to deliver; `over`: only its summary is left. */
  standingOf(scope: Scope, callId: string): 'live' | 'over' | undefined;
  /** Whether a session of this name is here that has not ended. */
  hasOpen(name: CallName): boolean;
}

export interface ClusterGatewayOptions {
  readonly local: LocalGateway;
  readonly directory: Directory;
  readonly instance: string;
  readonly maxSessionsPerTenant: number | undefined;
  readonly idleTimeoutMs: number;
  readonly createTimeoutMs: number;
  readonly log: Logger;
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
export class ClusterGateway implements CallGateway, LocalCalls {
  readonly #options: ClusterGatewayOptions;
  readonly #local: LocalGateway;
  readonly #directory: Directory;
  readonly #held = new HeldCalls();
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

  /** A call that this node held is over, and its summary is safe. */
  async concluded(name: CallName, summary: Summary): Promise<void> {
    const held = this.#held.get(name);
    if (!held) return;
    this.#held.delete(held);
    if (held.epoch === 0) return;
    await this.#asked(() => this.#directory.conclude(name, held.epoch, JSON.stringify(summary), OVER_KEPT_MS));
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

  async takeOver(
    name: CallName,
    { epoch }: Ownership,
    leaseLeftMs: number,
  ): Promise<'here' | 'elsewhere' | 'not_yet' | 'nowhere'> {
    const answer = await this.#directory.takeOver(name, epoch, this.#options.instance, leaseLeftMs);
    switch (answer.type) {
      case 'alive':
        return 'not_yet';
      case 'gone':
        return 'nowhere';
      default:
        return 'elsewhere';
    }
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
