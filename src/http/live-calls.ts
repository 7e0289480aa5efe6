import { randomUUID } from 'node:crypto';
import type { LiveCall } from '../call/live-call.ts';
import type { EventStream } from './event-stream.ts';
import type { Follower } from './followers.ts';
import type { CallGateway, CallSession, Scope } from './gateway.ts';

/** How often the calls are looked at while somebody listens. */
const LOOK_MS = 500;
/** Between two times that the same call is told of; a little less, because looks come a little early or late. */
const CALL_PAUSE_MS = 950;
/** What is queued changes all the time: it alone is told of when it has changed by this much. */
const QUEUE_STEP_MS = 1_000;
/** How long after the last look somebody who comes again is told only what has changed. */
const REMEMBERED_MS = 60_000;
/** Calls that are over and are told of to whoever was away meanwhile. */
const MAX_ENDED = 2_000;

interface Known {
  readonly session: CallSession;
  live: LiveCall;
  /** The list's revision when it was last told of, and when that was. */
  revision: number;
  toldAtMs: number;
  masked: string | undefined;
  full: string | undefined;
}

interface Ended {
  readonly revision: number;
  readonly tenantId: string;
  readonly json: string;
}

/**
 * The list of calls as it is told to many: looked at twice a second, whoever listens, each call written out once. Who was
 * told up to a revision is told what has changed since, and no more than that is kept for anybody.
 */
export class LiveCalls {
  readonly #gateway: Pick<CallGateway, 'runningCalls'>;
  readonly #name = randomUUID().slice(0, 8);
  readonly #known = new Map<string, Known>();
  #ended: Ended[] = [];
  /** The last revision of which an end was forgotten. */
  #forgottenRevision = 0;
  #revision = 0;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #forgetting: NodeJS.Timeout | undefined;

  constructor(gateway: Pick<CallGateway, 'runningCalls'>) {
    this.#gateway = gateway;
  }

  /** Idempotent. */
  close(): void {
    clearTimeout(this.#forgetting);
    this.#forgetting = undefined;
    this.#known.clear();
    this.#ended = [];
    this.#revision += 1;
    this.#forgottenRevision = this.#revision;
  }

  /** @param lastEventId what the client was told last, in its own words */
  follower(stream: EventStream, scope: Scope, isFull: boolean, lastEventId: string | undefined): Follower {
    const client = { stream, scope, isFull };
    let told = this.#resumed(lastEventId);
    if (told === undefined && lastEventId !== undefined) gap(stream, 'what was told last is not known here any more');
    return {
      look: (nowMs) => {
        // A list that is half a second old would be wrong about calls that have just begun.
        if (told === undefined || nowMs - this.#lookedAtMs >= LOOK_MS) this.#look(nowMs);
        if (told === this.#revision) return;
        if (told !== undefined && told < this.#forgottenRevision) {
          gap(stream, 'more calls have ended than are told of one by one');
          told = undefined;
        }
        this.#tell(client, told);
        told = this.#revision;
      },
    };
  }

  /** The revision that an id stands for; undefined: it is none of ours. */
  #resumed(id: string | undefined): number | undefined {
    const [name, revision] = id?.split('-') ?? [];
    const number = Number(revision);
    return name === this.#name && number >= 0 && number <= this.#revision ? number : undefined;
  }

  #tell({ stream, scope: { tenantId }, isFull }: Client, since: number | undefined): void {
    const isSeen = (one: { readonly tenantId: string }) => tenantId === undefined || one.tenantId === tenantId;
    const calls: string[] = [];
    for (const known of this.#known.values()) {
      if ((since === undefined || known.revision > since) && isSeen(known.live)) calls.push(jsonOf(known, isFull));
    }
    const id = `${this.#name}-${this.#revision}`;
    if (since === undefined) {
      stream.send('snapshot', `{"calls":[${calls}]}`, id);
      return;
    }
    const ended = this.#ended.filter((one) => one.revision > since && isSeen(one)).map(({ json }) => json);
    if (calls.length + ended.length > 0) stream.send('changes', `{"changed":[${calls}],"ended":[${ended}]}`, id);
  }

  #look(nowMs: number): void {
    this.#lookedAtMs = nowMs;
    const revision = this.#revision + 1;
    let hasChanged = false;
    const running = new Set<string>();
    for (const session of this.#gateway.runningCalls()) {
      const { id } = session;
      running.add(id);
      const known = this.#known.get(id);
      if (known && nowMs - known.toldAtMs < CALL_PAUSE_MS) continue;
      const live = session.live();
      if (known && !isNews(known.live, live)) continue;
      hasChanged = true;
      if (!known) {
        this.#known.set(id, { session, live, revision, toldAtMs: nowMs, masked: undefined, full: undefined });
        continue;
      }
      known.live = live;
      known.revision = revision;
      known.toldAtMs = nowMs;
      known.masked = undefined;
      known.full = undefined;
    }
    for (const [id, { session, live }] of this.#known) {
      if (running.has(id)) continue;
      hasChanged = true;
      this.#known.delete(id);
      const { sessionId, callId, tenantId } = live;
      const { endReason } = session.live();
      this.#ended.push({ revision, tenantId, json: JSON.stringify({ sessionId, callId, tenantId, endReason }) });
    }
    const tooMany = this.#ended.length - MAX_ENDED;
    if (tooMany > 0) this.#forgottenRevision = this.#ended.splice(0, tooMany).at(-1)!.revision;
    if (hasChanged) this.#revision = revision;
    if (this.#forgetting) this.#forgetting.refresh();
    else this.#forgetting = setTimeout(() => this.close(), REMEMBERED_MS).unref();
  }
}

interface Client {
  readonly stream: EventStream;
  readonly scope: Scope;
  readonly isFull: boolean;
}

function gap(stream: EventStream, why: string): void {
  stream.send('gap', JSON.stringify({ why }));
}

function isNews(before: LiveCall, after: LiveCall): boolean {
  for (const name of Object.keys(after) as (keyof LiveCall)[]) {
    if (name !== 'queuedAudioMs' && before[name] !== after[name]) return true;
  }
  const { queuedAudioMs } = after;
  return (
    Math.abs(queuedAudioMs - before.queuedAudioMs) >= QUEUE_STEP_MS ||
    (queuedAudioMs === 0) !== (before.queuedAudioMs === 0)
  );
}

function jsonOf(known: Known, isFull: boolean): string {
  if (isFull) {
    known.full ??= JSON.stringify(known.live);
    return known.full;
  }
  known.masked ??= JSON.stringify(masked(known.live));
  return known.masked;
}

/** As a key sees it that may not see whole numbers. */
export function masked(live: LiveCall): LiveCall {
  return live.callerNumber === undefined ? live : { ...live, callerNumber: `…${live.callerNumber.slice(-2)}` };
}
