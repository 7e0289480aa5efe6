import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from './errors.ts';
import { EventStream } from './event-stream.ts';

/** How often followers look for news. */
const LOOK_MS = 100;
const BEAT_MS = 15_000;
/** Streams that one key may have open at once, and all of them together. */
export const MAX_STREAMS_A_KEY = 20;
export const MAX_STREAMS = 200;

/** Tells one client what is new. */
export interface Follower {
  /** Called ten times a second while the client reads. */
  look(nowMs: number): void;
}

interface Open {
  readonly stream: EventStream;
  readonly follower: Follower;
  readonly keyName: string;
  /** @throws {ApiError} when who asked may not look any more */
  readonly check: () => void;
  beatAtMs: number;
}

/** Everybody who is told of calls while they go on. While nobody is, nothing is done. Whoever creates it closes it. */
export class Followers {
  readonly #nowMs: () => number;
  readonly #open = new Set<Open>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get count(): number {
    return this.#open.size;
  }

  /**
   * Begins to tell a client.
   * @param maxUnsentBytes beyond which its follower does not look
   * @throws {ApiError} `too_many_listeners`; nothing has been sent then
   */
  open(
    request: FastifyRequest,
    reply: FastifyReply,
    maxUnsentBytes: number,
    check: () => void,
    follow: (stream: EventStream) => Follower,
  ): void {
    const keyName = nameOf(request);
    this.#admit(keyName);
    reply.hijack();
    const stream = new EventStream(reply.raw, request.id, maxUnsentBytes);
    const open = { stream, follower: follow(stream), keyName, check, beatAtMs: this.#nowMs() + BEAT_MS };
    this.#open.add(open);
    reply.raw.once('close', () => this.#forget(open));
    this.#timer ??= setInterval(() => this.look(), LOOK_MS);
    open.follower.look(this.#nowMs());
  }

  /** Lets every follower look. Called at even intervals. */
  look(): void {
    const nowMs = this.#nowMs();
    for (const open of this.#open) {
      const { stream, follower } = open;
      if (stream.isOver) continue;
      if (nowMs >= open.beatAtMs && !this.#beat(open, nowMs)) continue;
      if (!stream.isFull) follower.look(nowMs);
    }
  }

  /** Tells everybody that it is over. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const { stream } of this.#open) bye(stream, 'the gateway stops');
    this.#open.clear();
    clearInterval(this.#timer);
  }

  /** @throws {ApiError} */
  #admit(keyName: string): void {
    if (this.#isClosed) throw new ApiError('draining', 'the gateway is shutting down');
    let count = 0;
    for (const open of this.#open) if (open.keyName === keyName) count++;
    if (count < MAX_STREAMS_A_KEY && this.#open.size < MAX_STREAMS) return;
    const whose = count < MAX_STREAMS_A_KEY ? `the gateway has ${MAX_STREAMS}` : `this key has ${MAX_STREAMS_A_KEY}`;
    throw new ApiError('too_many_listeners', `${whose} streams of events open already, its limit`);
  }

  #beat(open: Open, nowMs: number): boolean {
    open.beatAtMs = nowMs + BEAT_MS;
    try {
      open.check();
    } catch (error) {
      bye(open.stream, (error as Error).message);
      return false;
    }
    open.stream.beat();
    return true;
  }

  #forget(open: Open): void {
    this.#open.delete(open);
    if (this.#open.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function bye(stream: EventStream, why: string): void {
  stream.send('bye', JSON.stringify({ why }));
  stream.end();
}

function nameOf({ scope }: FastifyRequest): string {
  return `${scope.by?.tenantId ?? ''} ${scope.by?.name ?? ''}`;
}
