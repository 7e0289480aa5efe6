/** The gateway's own HTTP side with nothing behind it: routes, schemas, key, hooks, metrics. */
import { pino } from 'pino';
import type { Delivery } from '../../src/call/reply/deliveries.ts';
import type { AudioEntry } from '../../src/call/reply/outbox.ts';
import { buildApp } from '../../src/http/app.ts';
import type { CallGateway, CallSession } from '../../src/http/gateway.ts';
import { KeyRing } from '../../src/http/key-ring.ts';
import { Metrics } from '../../src/metrics/metrics.ts';
import { chunkBase64 } from './samples.ts';

/** What each answer carries, if it is asked for. */
const audio = process.argv[2] === 'audio' ? [{ base64: chunkBase64 } as AudioEntry] : [];

const session: Pick<CallSession, 'generation' | 'stream' | 'deliver' | 'report' | 'takeInterrupted'> = {
  generation: 0,
  stream: () => Promise.resolve(),
  deliver: (): Delivery => ({
    audio,
    lines: [],
    actions: [],
    seq: 0,
    generation: 0,
    isInterruption: false,
    isLast: false,
    written() {},
    aborted() {},
  }),
  report() {},
  takeInterrupted: () => false,
};

const metrics = new Metrics();
const app = await buildApp({
  gateway: { findSession: () => session } as unknown as CallGateway,
  keys: new KeyRing({ operatorKey: 'a key of a benchmark' }),
  logger: pino({ level: 'silent' }),
  history: {
    search: async () => ({ calls: [] }),
    find: async () => [],
    findRecording: async () => [],
    usage: async () => [],
    exportPage: async () => ({ text: '' }),
    noteLooks: async () => {},
    looks: async () => ({ looks: [] }),
  },
  currency: 'USD',
  status: { read: () => ({}) },
  version: 'benchmark',
  openMetrics: true,
  onRequestEnd: (method, route, status, seconds) =>
    metrics.httpRequest.observe({ method, route, status: String(status) }, seconds),
});
app.get('/cpu', { config: { public: true } }, async () => process.cpuUsage());
console.log(`listening on ${await app.listen({ host: '127.0.0.1', port: 0 })}`);
