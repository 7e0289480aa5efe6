import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AudioFormat } from '../audio/codec.ts';
import type { CallEvents, CallInfo } from '../call/call-info.ts';
import type { AudioReceiver, DownStream, DownStreamRequest } from '../call/duplex/down-stream.ts';
import type { AudioSender, UpStream, UpStreamRequest } from '../call/duplex/up-stream.ts';
import type { CallMark, CallNews, LiveCall } from '../call/live-call.ts';
import type { Summary } from '../call/record/record.ts';
import type { ClientReport, Delivery } from '../call/reply/deliveries.ts';
import type { TakeOptions } from '../call/reply/outbox.ts';
import type { Departure } from '../call/reply/poll-wait.ts';
import type { IncomingChunk } from '../call/up/chunk.ts';
import type { KeyHolder } from './key-ring.ts';
import type { CreateAnswer, CreateBody, Health, Readiness } from './schemas.ts';

/** Whose sessions a request may see. `tenantId` undefined: every tenant's. */
export interface Scope {
  readonly tenantId: string | undefined;
  /** Who asks; absent: the gateway itself. */
  readonly by?: KeyHolder;
  /** Another node of the cluster asks, for a client: the answer is of this node alone. */
  readonly isFromNode?: true;
}

/** One call, as the routes see it. */
export interface CallSession {
  /** Unique among all calls ever. */
  readonly id: string;
  readonly generation: number;
  /**
   * Takes a chunk in; resolves when its audio was accepted and is on its way upstream.
   * @throws {CallError} `invalid_audio`, `upstream_busy`, `session_not_found` once the call has ended
   */
  stream(chunk: IncomingChunk): Promise<void>;
  /** Uses up the number of a chunk that was refused. */
  consume(chunkSeq: number): void;
  /** What is queued now, for the answer of a `stream` request. */
  deliver(query: TakeOptions): Delivery;
  /** As `deliver`, but waits up to `timeoutMs` for something to come; a later poll ends the wait, or the client's going. */
  poll(query: TakeOptions, timeoutMs: number, client: Departure): Promise<Delivery>;
  report(report: ClientReport): void;
  /** Whether the answer of a `stream` request is to tell of an interruption: once after each. */
  takeInterrupted(): boolean;
  /** That answer was lost: the next one tells. */
  giveBackInterrupted(): void;
  /** Ends the call, or repeats the summary of an ended one. */
  end(): Promise<Summary>;
  /** The format of its audio where nobody says otherwise. */
  readonly format: AudioFormat;
  /**
   * A client streams audio up from now on, in the place of one that did before.
   * @throws {CallError} `session_not_found` once the call has ended
   */
  openUp(request: UpStreamRequest, sender: AudioSender): UpStream;
  /**
   * A client is played the replies from now on, in the place of one that was before.
   * @throws {CallError} `session_not_found` once the call has ended
   */
  openDown(request: DownStreamRequest, receiver: AudioReceiver): DownStream;
  /** A streaming client is gone. Idempotent. */
  left(stream: UpStream | DownStream): void;
  info(): CallInfo;
  /** What happened on the call so far; nothing personal is in it. */
  events(): CallEvents;
  /** How it stands; the caller's number is whole. */
  live(): LiveCall;
  /** Rises whenever there is news. */
  readonly mark: CallMark;
  /** What has happened since a mark; without one, everything that is kept. */
  news(since?: CallMark): CallNews;
  /** Why the call could not go on, where it could not. */
  readonly error: string | undefined;
}

/** Takes requests to the node that has their call, where several nodes are one gateway. */
export interface RequestRouter {
  /** What a node of the cluster says of the client that it asks for; undefined: no node of the cluster asks. */
  scopeOf(request: FastifyRequest): Scope | undefined;
  /**
   * Finds the node of a request that names a call. Undefined, or resolved with undefined or a body in place of the one that
   * has been read: it is to be answered here.
   * @throws {ApiError} `node_unreachable`, `ambiguous_call_id`, `session_not_found`
   */
  route(request: FastifyRequest, reply: FastifyReply): Promise<Readable | 'answered' | undefined> | undefined;
}

/** Tells how the gateway does; the answer is as its schema says. */
export interface StatusReader {
  read(): object;
}

/** The gateway, as the routes see it. */
export interface CallGateway {
  /** Whose call a create request is about. @throws {CallError} `forbidden` where it is another tenant's */
  tenantOf(scope: Scope, body: Pick<CreateBody, 'tenantId'>): string;
  /**
   * @param client who waits for the answer: a call whose clients have all gone by then is ended soon
   * @throws {CallError} as the contract's table says
   */
  createSession(scope: Scope, body: CreateBody, requestId: string, client: Departure): Promise<CreateAnswer>;
  /** @throws {CallError} `session_not_found`, `ambiguous_call_id` */
  findSession(scope: Scope, callId: string): CallSession;
  listSessions(scope: Scope): CallInfo[] | Promise<CallInfo[]>;
  /** Every call of this node that has not ended. */
  runningCalls(): Iterable<CallSession>;
  health(): Health;
  readiness(): Readiness;
  /** The Prometheus exposition. */
  metrics(): Promise<{ contentType: string; text: string }>;
}
