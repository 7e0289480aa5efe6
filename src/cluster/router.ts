import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import { CallError, sessionNotFound } from '../call/errors.ts';
import type { Summary } from '../call/record/record.ts';
import { monotonicNowMs } from '../clock.ts';
import { ApiError } from '../http/errors.ts';
import type { RequestRouter, Scope } from '../http/gateway.ts';
import { quote } from '../http/quote.ts';
import { type CallName, type Directory, DirectoryAway, type Member, type Ownership } from './directory.ts';
import { Forward, type ForwardedRequest, type ForwardOutcome } from './forward.ts';
import type { Membership } from './membership.ts';
import { NotHere, type Peers } from './peers.ts';
import { NODE_HEADERS, NOT_HERE, type Proofs } from './proof.ts';
import { hasBody, StreamForward } from './stream-forward.ts';

/** How long a request waits for its call to be somewhere: a lease that runs out, and a conversation told anew. */
const PATIENCE_MS = 8_000;
const RETRY_MS = 100;
/** Bodies up to this size are sent again where the first node had no use for them. */
const MAX_KEPT_BODY_BYTES = 1_048_576;
const MAX_LOCATIONS = 20_000;
const ASK_TIMEOUT_MS = 1_500;

/** Where a call is after an attempt to take it over; `not_yet`: its owner still counts as living. */
export type TakeOver = 'here' | 'elsewhere' | 'not_yet' | 'nowhere';

/** The calls of this node, as the router asks for them. */
export interface LocalCalls {
  /** `live`: it goes on here, or still has something to deliver; `over`: only its summary is left. */
  standingOf(scope: Scope, callId: string): 'live' | 'over' | undefined;
  /** Resolves when a call that is on its way to this node, if it is, has come or not. */
  arrival(scope: Scope, callId: string): Promise<unknown> | undefined;
  /**
   * Takes over a call whose owner is dead or has put it down. Called again meanwhile, it is the same attempt.
   * @param leaseLeftMs an owner with no more than this left of its lease is dead
   */
  takeOver(name: CallName, ownership: Ownership, leaseLeftMs: number): Promise<TakeOver>;
}

export interface CallRouterOptions {
  readonly directory: Directory;
  readonly membership: Membership;
  readonly peers: Peers;
  readonly proofs: Proofs;
  readonly calls: LocalCalls;
  readonly onForwarded: (outcome: ForwardOutcome) => void;
}

interface Orphan {
  readonly type: 'orphan';
  readonly name: CallName;
  readonly ownership: Ownership;
  readonly leaseLeftMs: number;
}

type Place =
  | { readonly type: 'at'; readonly member: Member }
  | Orphan
  | { readonly type: 'over'; readonly name: CallName }
  | { readonly type: 'unknown' };

/** Takes each request to the node that has its call: at most one hop. */
export class CallRouter implements RequestRouter {
  readonly #options: CallRouterOptions;
  /** Where calls were last found. What is in it may be out of date: whoever is asked says so. */
  readonly #places = new LRUCache<string, string>({ max: MAX_LOCATIONS });
  readonly #underWay = new Set<ForwardedRequest>();

  constructor(options: CallRouterOptions) {
    this.#options = options;
  }

  get nodeId(): string {
    return this.#options.membership.self.nodeId;
  }

  scopeOf(request: FastifyRequest): Scope | undefined {
    if (request.headers[NODE_HEADERS.proof] === undefined) return undefined;
    const scope = this.#options.proofs.scopeOf(request.method, request.raw.url ?? '', request.headers);
    return scope && { ...scope, isFromNode: true };
  }

  route(request: FastifyRequest, reply: FastifyReply): Promise<Readable | 'answered' | undefined> | undefined {
    const { callId } = request.params as { callId: string };
    const { calls, membership } = this.#options;
    if (calls.standingOf(request.scope, callId) === 'live') {
      if (!membership.isSure) return membership.confirm().then(() => this.route(request, reply));
      reply.raw.setHeader('x-call-node', this.nodeId);
      return undefined;
    }
    return request.scope.isFromNode ? this.#arrived(request, reply, callId) : this.#find(request, reply, callId);
  }

  /** A node has died: nobody waits for what it was to answer. */
  abandon(instance: string): void {
    const reason = new Error('the node has died');
    for (const forward of this.#underWay) if (forward.target.instance === instance) forward.abort(reason);
  }

  /** The call is known to be there. */
  learn({ tenantId, callId }: CallName, instance: string): void {
    this.#places.set(placeKey({ tenantId }, callId), instance);
  }

  /** Another node sent it here: it goes no further. */
  async #arrived(request: FastifyRequest, reply: FastifyReply, callId: string): Promise<undefined> {
    const { calls } = this.#options;
    const { scope } = request;
    await calls.arrival(scope, callId);
    if (calls.standingOf(scope, callId) === undefined) {
      const place = await this.#placeOf(scope, callId, { isFromNode: true });
      // Its owner may have put it down for this node to take.
      if (place?.type === 'orphan') await this.#take(place);
    }
    if (calls.standingOf(scope, callId) !== undefined) {
      reply.raw.setHeader('x-call-node', this.nodeId);
      return undefined;
    }
    reply.raw.setHeader(NOT_HERE, '1');
    throw sessionNotFound(callId, 'it is not on this node');
  }

  async #find(
    request: FastifyRequest,
    reply: FastifyReply,
    callId: string,
  ): Promise<Readable | 'answered' | undefined> {
    const { calls } = this.#options;
    const { scope } = request;
    const endsAtMs = monotonicNowMs() + PATIENCE_MS;
    const length = Number(request.headers['content-length'] ?? Number.POSITIVE_INFINITY);
    const isKept = hasBody(request) && length <= MAX_KEPT_BODY_BYTES;
    let body: Buffer | undefined;
    const here = () => {
      reply.raw.setHeader('x-call-node', this.nodeId);
      return body && Readable.from([body]);
    };
    for (;;) {
      const isHere = calls.standingOf(scope, callId) === 'live';
      const place = isHere ? undefined : await this.#placeOf(scope, callId);
      if (place === undefined) return here();
      switch (place.type) {
        case 'unknown':
          await calls.arrival(scope, callId);
          return here();
        case 'over':
          if (calls.standingOf(scope, callId) !== undefined) return here();
          return (await this.#answerOver(request, reply, place.name)) ? 'answered' : here();
        case 'orphan':
          if (await this.#take(place)) return here();
          break;
        case 'at': {
          if (isKept) body ??= await read(request);
          const outcome = await this.#forward(place.member, request, reply, body);
          if (outcome === 'answered' || outcome === 'broken') return 'answered';
          this.#places.delete(placeKey(scope, callId));
          if (outcome === 'refused') await this.#onRefused(scope, callId);
          break;
        }
      }
      if (monotonicNowMs() > endsAtMs) {
        throw new ApiError(
          'node_unreachable',
          `callId is ${quote(callId)}, but the node that has the call does not answer`,
        );
      }
      if (reply.raw.destroyed) throw sessionNotFound(callId, 'its client has gone');
      await setTimeout(RETRY_MS);
    }
  }

  /** @returns whether the request is to be answered here, by a 404 where nobody has the call */
  async #take({ name, ownership, leaseLeftMs }: Orphan): Promise<boolean> {
    const { calls, membership } = this.#options;
    try {
      const result = await calls.takeOver(name, ownership, leaseLeftMs);
      return result === 'here' || result === 'nowhere';
    } catch (error) {
      if (!(error instanceof DirectoryAway)) throw error;
      membership.noteAway(error);
      return false;
    }
  }

  /** The owner turns connections away: where its lease is old too, it is dead. */
  async #onRefused(scope: Scope, callId: string): Promise<void> {
    const place = await this.#placeOf(scope, callId, { isRefusing: true });
    if (place?.type === 'orphan') await this.#take(place);
  }

  /** @param asked `isRefusing`: the owner does not take connections; `isFromNode`: others have been asked already */
  async #placeOf(
    scope: Scope,
    callId: string,
    { isRefusing = false, isFromNode = false } = {},
  ): Promise<Place | undefined> {
    const { directory, membership } = this.#options;
    await membership.joined;
    const key = placeKey(scope, callId);
    const known = this.#places.get(key);
    if (known !== undefined && !isRefusing && !isFromNode && membership.isLiving(known)) {
      return { type: 'at', member: membership.get(known)! };
    }
    const askAround = () => (isFromNode ? undefined : this.#askAround(scope, callId));
    if (membership.isAway) return askAround();
    let found: Awaited<ReturnType<Directory['lookup']>>;
    try {
      found = await directory.lookup(scope.tenantId, callId);
    } catch (error) {
      membership.noteAway(error as Error);
      return askAround();
    }
    switch (found.type) {
      case 'ambiguous':
        throw new CallError('ambiguous_call_id', { callId, tenantCount: found.tenantCount });
      case 'unknown':
        return membership.isDirectoryYoung ? askAround() : { type: 'unknown' };
      case 'over':
        return found.member && found.owner !== membership.self.instance
          ? { type: 'at', member: found.member }
          : { type: 'over', name: found.name };
      case 'held': {
        if (found.owner === membership.self.instance) return { type: 'unknown' };
        const { member, name } = found;
        const leaseLeftMs = membership.deadLeaseLeftMs(found.owner, isRefusing);
        if (!member || found.isReleased || member.leaseLeftMs <= leaseLeftMs) {
          return { type: 'orphan', name, ownership: found, leaseLeftMs };
        }
        membership.learn(member);
        this.#places.set(key, member.instance);
        return { type: 'at', member };
      }
    }
  }

  /** Asks every node that lives whether it has the call: the directory cannot say. */
  async #askAround(scope: Scope, callId: string): Promise<Place> {
    const { membership, peers } = this.#options;
    const path = `/api/voice/session/${encodeURIComponent(callId)}`;
    let failures = 0;
    const found = await Promise.all(
      membership.others.map(async (member) => {
        try {
          await peers.ask(member, { method: 'GET', path, scope, timeoutMs: ASK_TIMEOUT_MS });
          return member;
        } catch (error) {
          if (!(error instanceof NotHere)) failures += 1;
          return undefined;
        }
      }),
    );
    const member = found.find((one) => one !== undefined);
    if (member) {
      this.#places.set(placeKey(scope, callId), member.instance);
      return { type: 'at', member };
    }
    if (failures === 0) return { type: 'unknown' };
    throw new ApiError(
      'node_unreachable',
      `callId is ${quote(callId)}, but ${failures} nodes that may have the call do not answer`,
    );
  }

  async #forward(
    member: Member,
    request: FastifyRequest,
    reply: FastifyReply,
    body: Buffer | undefined,
  ): Promise<ForwardOutcome> {
    const { peers, proofs } = this.#options;
    const isStreamed = body === undefined && hasBody(request);
    const forward: ForwardedRequest = isStreamed
      ? new StreamForward(proofs, member, request, reply)
      : new Forward(peers, member, request, reply, body);
    this.#underWay.add(forward);
    try {
      const outcome = await forward.send();
      this.#options.onForwarded(outcome);
      return outcome;
    } finally {
      this.#underWay.delete(forward);
    }
  }

  /** Answers a request for a call that is over and whose node is gone. @returns whether enough is known for it */
  async #answerOver(request: FastifyRequest, reply: FastifyReply, name: CallName): Promise<boolean> {
    const { url = '' } = request.routeOptions;
    const text = await this.#options.directory.summaryOf(name).catch(() => undefined);
    if (text === undefined) return false;
    const summary = JSON.parse(text) as Summary;
    if (url.endsWith('/end')) await reply.send({ status: 'ended', summary });
    else if (url.endsWith('/response')) {
      await reply.send({ seq: -1, generation: 0, hasMore: false, endReason: summary.endReason });
    } else return false;
    return true;
  }
}

function placeKey({ tenantId = '' }: Pick<Scope, 'tenantId'>, callId: string): string {
  return `${tenantId}/${callId}`;
}

function read({ raw }: FastifyRequest): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    raw.on('data', (piece: Buffer) => pieces.push(piece));
    raw.once('end', () => resolve(Buffer.concat(pieces)));
    raw.once('close', () => reject(new ApiError('bad_request', 'the body broke off')));
  });
}
