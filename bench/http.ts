/** What a POST of a chunk costs a server: bare Fastify, our routes with nothing behind them, the whole gateway. */
import { fileURLToPath } from 'node:url';
import { type StartedProcess, startProcess } from '../loadtest/child.ts';
import { HttpLane } from '../loadtest/http-lane.ts';
import { parseExposition, sumOf } from '../loadtest/prometheus.ts';
import { buildIfNeeded, type Stack, startStack } from '../loadtest/stack.ts';
import { markdownTable, median, times, us } from './support/measure.ts';
import { chunkBase64 } from './support/samples.ts';

export interface HttpServerResult {
  readonly server: string;
  /** CPU of the server's process for one POST, in microseconds. */
  readonly cpuUs: number;
  /** Elapsed time of one POST, one after the other. */
  readonly wallUs: number;
}

/** The bare route, our routes, the same with audio in the answer, the whole gateway; in this order. */
export interface HttpResult {
  readonly servers: readonly HttpServerResult[];
}

const POSTS = 1_500;
const ROUNDS = 9;
const WARM_UP = 3;
const KEY = 'a key of a benchmark';

interface Server {
  readonly name: string;
  readonly lane: HttpLane;
  readonly query: string;
  /** CPU seconds spent so far. */
  cpuSeconds(): Promise<number>;
  chunkSeq: number;
}

export async function benchHttp(): Promise<HttpResult> {
  buildIfNeeded();
  const processes: StartedProcess[] = [];
  let stack: Stack | undefined;
  const servers: Server[] = [];
  try {
    const bare = await startProcess(scriptOf('bare-server.ts'));
    processes.push(bare);
    const app = await startProcess(scriptOf('app-server.ts'));
    processes.push(app);
    const withAudio = await startProcess(scriptOf('app-server.ts', 'audio'));
    processes.push(withAudio);
    stack = await startStack({
      simulatorMode: 'loopback',
      deltaMs: 0,
      sessionWorkers: 1,
      audioThreads: 1,
      calls: 1,
      tls: false,
      nodeArgs: [],
    });
    servers.push(
      serverOf('bare Fastify route', bare.url, KEY),
      serverOf('our routes, nothing behind them', app.url, KEY),
      serverOf('our routes, audio in the answer', withAudio.url, KEY, '?poll=1&ack=0'),
      gatewayOf(stack),
    );
    const created = await servers[3]!.lane.post(
      '/api/voice/session/create',
      Buffer.from(JSON.stringify({ callId: 'bench', aiAgentRef: stack.aiAgentRef })),
    );
    if (created.status !== 200) throw new Error(`the gateway answers ${created.status}: ${created.body}`);
    const rounds = servers.map((): { cpuUs: number; wallUs: number }[] => []);
    for (let round = 0; round < WARM_UP + ROUNDS; round++) {
      for (const [i, server] of servers.entries()) {
        const cost = await postAll(server);
        if (round >= WARM_UP) rounds[i]!.push(cost);
      }
    }
    return {
      servers: servers.map(({ name }, i) => ({
        server: name,
        cpuUs: median(rounds[i]!.map(({ cpuUs }) => cpuUs)),
        wallUs: median(rounds[i]!.map(({ wallUs }) => wallUs)),
      })),
    };
  } finally {
    for (const { lane } of servers) await lane.close();
    for (const process of processes) await process.stop();
    await stack?.stop();
  }
}

function scriptOf(file: string, ...args: string[]) {
  const path = fileURLToPath(new URL(`./support/${file}`, import.meta.url));
  return { name: file, args: [path, ...args], url: /listening on (\S+)/ };
}

function laneTo(origin: string, key: string): HttpLane {
  return new HttpLane({ origin, keepAlive: true, headers: { 'x-api-key': key }, timeoutMs: 20_000 });
}

function serverOf(name: string, url: string, key: string, query = ''): Server {
  const lane = laneTo(new URL(url).origin, key);
  return {
    name,
    lane,
    query,
    chunkSeq: 0,
    async cpuSeconds() {
      const { user, system } = JSON.parse((await lane.get('/cpu')).body) as NodeJS.CpuUsage;
      return (user + system) / 1e6;
    },
  };
}

function gatewayOf(stack: Stack): Server {
  const lane = laneTo(stack.gateway.url, stack.apiKey);
  return {
    name: 'the whole gateway, up and down (loopback)',
    lane,
    query: '?poll=1',
    chunkSeq: 0,
    async cpuSeconds() {
      return sumOf('process_cpu_seconds_total', parseExposition((await lane.get('/metrics')).body));
    },
  };
}

async function postAll(server: Server): Promise<{ cpuUs: number; wallUs: number }> {
  const { lane, query } = server;
  const cpu = await server.cpuSeconds();
  const startedAt = performance.now();
  for (let i = 0; i < POSTS; i++) {
    const body = Buffer.from(`{"audio":"${chunkBase64}","chunkSeq":${server.chunkSeq++}}`, 'latin1');
    const { status, body: answer } = await lane.post(`/api/voice/stream/bench${query}`, body);
    if (status !== 200) throw new Error(`${server.name} answers ${status}: ${answer.slice(0, 200)}`);
  }
  const wallUs = ((performance.now() - startedAt) * 1000) / POSTS;
  return { cpuUs: ((await server.cpuSeconds()) - cpu) * (1e6 / POSTS), wallUs };
}

export function httpMarkdown({ servers }: HttpResult): string {
  const floor = servers[0]!;
  return markdownTable(
    ['POST of a chunk of 100 ms (4.3 kB), one after the other', 'CPU, µs', 'of the floor', 'elapsed, µs'],
    servers.map(({ server, cpuUs, wallUs }) => [server, us(cpuUs), times(cpuUs / floor.cpuUs), us(wallUs)]),
  );
}

if (import.meta.main) console.log(httpMarkdown(await benchHttp()));
