import { connect, type Socket } from 'node:net';
import { Client } from 'undici';
import { type DaemonProcess, startDaemonProcess } from '../support/daemon-process.ts';

/** What a stranger sends. Ten megabytes, or as much of them as the gateway takes. */
interface Attack {
  readonly name: string;
  readonly bytes: () => Buffer;
  /** Bytes of answers a second that are read; default: all. 0: none. */
  readonly readsPerSecond?: number;
}

export interface StrangerResult {
  readonly attack: string;
  /** Milliseconds that `/health` took on another connection while it went on. */
  readonly medianMs: number;
  readonly worstMs: number;
  /** Longest CPU time that the daemon's main thread took at a stretch. */
  readonly stretchMs: number;
  readonly rssGrowthMb: number;
  /** What became of the stranger's connection. */
  readonly outcome: string;
}

const SIZE = 10 * 1024 * 1024;
/** How long an attack is watched. */
const WATCHED_MS = 4_000;
const PROBE_PAUSE_MS = 2;

function post(path: string, body: string, ...headers: string[]): Buffer {
  const lines = [`POST ${path} HTTP/1.1`, 'host: localhost', 'content-type: application/json', ...headers];
  return Buffer.from(`${lines.join('\r\n')}\r\ncontent-length: ${body.length}\r\n\r\n${body}`, 'latin1');
}

function flood(request: string): Buffer {
  return Buffer.from(request.repeat(Math.floor(SIZE / request.length)), 'latin1');
}

const get = (path: string, ...headers: string[]) =>
  `GET ${path} HTTP/1.1\r\n${['host: localhost', ...headers].join('\r\n')}\r\n\r\n`;
const chunked = 'POST /api/voice/stream/x HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n';
const nested = '['.repeat(SIZE / 2) + ']'.repeat(SIZE / 2);

const ATTACKS: readonly Attack[] = [
  { name: 'nothing', bytes: () => Buffer.alloc(0) },
  { name: '10 MB of [[[ to no route', bytes: () => post('/nope', nested) },
  { name: '10 MB of [[[ to create', bytes: () => post('/api/voice/session/create', nested) },
  { name: '10 MB of [[[ to stream', bytes: () => post('/api/voice/stream/x', nested) },
  { name: '10 MB of [[[ to a wrong method', bytes: () => post('/health', nested) },
  { name: 'a foreign page, 10 MB', bytes: () => post('/api/voice/stream/x', nested, 'origin: https://evil.example') },
  { name: 'pipelined /docs/json', bytes: () => flood(get('/docs/json')) },
  { name: 'pipelined /docs/json, unread', bytes: () => flood(get('/docs/json')), readsPerSecond: 0 },
  { name: 'pipelined /docs/json, read slowly', bytes: () => flood(get('/docs/json')), readsPerSecond: 100_000 },
  { name: 'pipelined /metrics', bytes: () => flood(get('/metrics')) },
  { name: 'pipelined requests of 18 bytes', bytes: () => flood('GET / HTTP/1.1\r\n\r\n') },
  { name: 'pipelined bad URLs', bytes: () => flood('GET /% HTTP/1.1\r\nhost: x\r\n\r\n') },
  { name: 'pipelined wrong keys', bytes: () => flood(get('/api/voice/sessions', 'x-api-key: x')) },
  { name: 'pipelined long paths', bytes: () => flood(get(`/${'x/'.repeat(7_000)}`)) },
  { name: 'chunks of one byte', bytes: () => Buffer.from(chunked + '1\r\nx\r\n'.repeat(SIZE / 6), 'latin1') },
  { name: 'no HTTP', bytes: () => Buffer.alloc(SIZE, 0xff) },
];

/** How long each attack of a stranger without a key, on one connection, holds up everybody else. */
export async function measureStrangers(): Promise<StrangerResult[]> {
  const daemon = await startDaemonProcess({
    W3_VOICE_GATEWAY_API_KEY: 'a-key-nobody-has',
    LOG_LEVEL: 'info',
    OVERLOAD_EVENT_LOOP_MS: '60000',
    NODE_OPTIONS: `--import ${new URL('stretch.ts', import.meta.url).href}`,
  });
  try {
    const results: StrangerResult[] = [];
    for (const attack of ATTACKS) results.push(await measure(daemon, attack));
    return results;
  } finally {
    await daemon.end('SIGKILL');
  }
}

async function measure({ url, lines }: DaemonProcess, attack: Attack): Promise<StrangerResult> {
  const bytes = attack.bytes();
  const probe = new Client(url);
  const before = await rssMb(probe);
  await new Promise((resolve) => setTimeout(resolve, 600));
  lines.length = 0;
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  let outcome = 'open';
  socket.on('error', (error: NodeJS.ErrnoException) => {
    outcome = String(error.code);
  });
  socket.on('close', () => {
    if (outcome === 'open') outcome = 'closed';
  });
  const stopReading = read(socket, attack.readsPerSecond);
  socket.write(bytes);
  const timesMs: number[] = [];
  const endsAtMs = performance.now() + WATCHED_MS;
  while (performance.now() < endsAtMs) {
    const startedAtMs = performance.now();
    const { body } = await probe.request({ method: 'GET', path: '/health' });
    await body.dump();
    timesMs.push(performance.now() - startedAtMs);
    await new Promise((resolve) => setTimeout(resolve, PROBE_PAUSE_MS));
  }
  // What is printed is half a second old at most.
  await new Promise((resolve) => setTimeout(resolve, 600));
  const stretches = lines.flatMap((line) => /^stretch (\S+)/.exec(line)?.[1] ?? []).map(Number);
  const after = await rssMb(probe);
  stopReading();
  socket.destroy();
  await probe.close();
  timesMs.sort((a, b) => a - b);
  return {
    attack: attack.name,
    medianMs: timesMs[timesMs.length >> 1]!,
    worstMs: timesMs.at(-1)!,
    stretchMs: Math.max(...stretches),
    rssGrowthMb: after - before,
    outcome,
  };
}

/** Reads answers and throws them away, at most so many bytes a second. */
function read(socket: Socket, perSecond = Number.POSITIVE_INFINITY): () => void {
  if (perSecond === 0) {
    socket.pause();
    return () => {};
  }
  if (!Number.isFinite(perSecond)) {
    socket.resume();
    return () => {};
  }
  let budget = 0;
  socket.on('data', (data) => {
    budget -= data.length;
    if (budget <= 0) socket.pause();
  });
  const timer = setInterval(() => {
    budget = Math.min(budget + perSecond / 10, perSecond);
    if (budget > 0) socket.resume();
  }, 100);
  return () => clearInterval(timer);
}

async function rssMb(probe: Client): Promise<number> {
  const { body } = await probe.request({ method: 'GET', path: '/metrics' });
  const text = await body.text();
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1]) / 1_048_576;
}
