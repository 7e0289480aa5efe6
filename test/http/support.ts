import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { sessionNotFound } from '../../src/call/errors.ts';
import type { ClientReport, Delivery } from '../../src/call/reply/deliveries.ts';
import type { TakeOptions } from '../../src/call/reply/outbox.ts';
import type { IncomingChunk } from '../../src/call/up/chunk.ts';
import { type AppOptions, buildApp, closeApp } from '../../src/http/app.ts';
import type { CallHistory } from '../../src/http/call-history.ts';

import type { CallGateway, CallSession, Scope } from '../../src/http/gateway.ts';
import { KeyRing, type KeyRingOptions } from '../../src/http/key-ring.ts';
import type { CreateBody } from '../../src/http/schemas.ts';
import { EXAMPLE_USAGE } from '../../src/http/usage-schemas.ts';
import { NO_TOKENS } from '../../src/upstream/usage.ts';

/** What reached the gateway behind the routes. */
export interface Seen {
  readonly scopes: Scope[];
  readonly creates: { body: CreateBody; requestId: string }[];
  readonly chunks: IncomingChunk[];
  readonly consumed: number[];
  readonly reports: ClientReport[];
  readonly polls: { query: TakeOptions; timeoutMs: number }[];
  readonly callIds: string[];
}

const INFO = {
  callId: 'call-1',
  tenantId: 'default',
  status: 'active' as const,
  createdAt: new Date(0).toISOString(),
  lastActivity: new Date(0).toISOString(),
  transcriptCount: 0,
  actionsCount: 0,
  aiAgentRef: 'a',
  encoding: 'pcm16',
  sampleRate: 16_000,
  generation: 0,
  queuedAudioMs: 0,
};

function notAskedFor(): never {
  throw new Error('not asked for here');
}

/** A gateway that knows one call, `call-1`, and writes down what the routes ask of it. */
export function recordingGateway(): { gateway: CallGateway; seen: Seen } {
  const seen: Seen = { scopes: [], creates: [], chunks: [], consumed: [], reports: [], polls: [], callIds: [] };
  const nothing: Delivery = {
    audio: [],
    lines: [],
    actions: [],
    seq: -1,
    generation: 0,
    isInterruption: false,
    isLast: false,
    written() {},
    aborted() {},
  };
  const session: CallSession = {
    generation: 0,
    async stream(chunk) {
      seen.chunks.push(chunk);
    },
    consume: (chunkSeq) => void seen.consumed.push(chunkSeq),
    deliver: () => nothing,
    async poll(query, timeoutMs) {
      seen.polls.push({ query, timeoutMs });
      return nothing;
    },
    report: (report) => void seen.reports.push(report),
    takeInterrupted: () => false,
    giveBackInterrupted() {},
    async end() {
      return {
        callId: 'call-1',
        duration: 0,
        transcript: [],
        actions: [],
        endReason: 'completed' as const,
        aiAgentRef: 'a',
        usage: EXAMPLE_USAGE,
      };
    },
    format: { encoding: 'pcm16', sampleRateHz: 16_000 },
    openUp: () => {
      throw sessionNotFound('call-1');
    },
    openDown: () => {
      throw sessionNotFound('call-1');
    },
    left() {},
    info: () => INFO,
    events: notAskedFor,
    id: 'session-1',
    live: notAskedFor,
    mark: { entries: 0, lines: 0 },
    news: notAskedFor,
    error: undefined,
  };
  const gateway: CallGateway = {
    async createSession(scope, body, requestId) {
      seen.scopes.push(scope);
      seen.creates.push({ body, requestId });
      return { sessionId: body.callId, status: 'created', nextChunkSeq: 0 };
    },
    findSession(scope, callId) {
      seen.scopes.push(scope);
      seen.callIds.push(callId);
      if (callId !== 'call-1') throw sessionNotFound(callId);
      return session;
    },
    tenantOf: ({ tenantId = 'default' }) => tenantId,
    listSessions(scope) {
      seen.scopes.push(scope);
      return [];
    },
    runningCalls: () => [],
    health: () => ({ status: 'ok', version: '0', uptimeSeconds: 0, upstream: 'simulator', sessions: 0 }),
    readiness: () => ({ ready: true }),
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4; charset=utf-8', text: 'up 1\n' }),
  };
  return { gateway, seen };
}

const NO_USAGE = {
  name: '',
  calls: 0,
  durationSeconds: 0,
  audioSeconds: { up: 0, down: 0 },
  tokens: NO_TOKENS,
  seconds: 0,
  cost: 0,
  unpriced: 0,
};

/** A history that nothing is in. */
const emptyHistory: CallHistory = {
  search: async () => ({ calls: [] }),
  find: async () => [],
  findRecording: async () => [],
  usage: async () => [NO_USAGE],
  exportPage: async () => ({ text: '' }),
  noteLooks: async () => {},
  looks: async () => ({ looks: [] }),
};

/** The HTTP side of the daemon over a recording gateway. */
export async function appOverRecorder(
  options: { keys?: KeyRingOptions } & Partial<Omit<AppOptions, 'keys'>> = {},
): Promise<{ app: FastifyInstance; seen: Seen; close(): Promise<void> }> {
  const { gateway, seen } = recordingGateway();
  const { keys: keyOptions = {}, ...rest } = options;
  const keys = new KeyRing(keyOptions);
  const app = await buildApp({
    gateway,
    history: emptyHistory,
    status: { read: () => ({}) },
    currency: 'USD',
    keys,
    logger: pino({ level: process.env.TEST_LOG_LEVEL ?? 'silent' }),
    version: '0.0.0',
    openMetrics: true,
    ...rest,
  });
  return {
    app,
    seen,
    async close() {
      await closeApp(app);
      keys.close();
    },
  };
}
