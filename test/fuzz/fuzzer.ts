import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Pool } from 'undici';
import { http, TestCall } from '../support/call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';
import { type FuzzInput, type FuzzWorld, fuzzInput } from './inputs.ts';
import { Random } from './random.ts';

export interface FuzzResult {
  readonly inputs: number;
  /** Answers by status; `closed`: the connection was closed without one. */
  readonly byStatus: Readonly<Record<string, number>>;
  /** What should not have happened. */
  readonly failures: readonly string[];
  /** Bytes by which the main thread's heap grew from a quarter of the way to the end, after garbage collection. */
  readonly heapGrowthBytes: number;
  readonly rssBytes: { readonly quarter: number; readonly end: number };
}

const CONNECTIONS = 24;
const MAX_FAILURES = 20;
/** Refusals that say no more than that the fuzzer is faster than real time. */
const EXPECTED_503 = new Set(['upstream_busy']);
const OPERATOR = 'the-operators-key';
const TENANTS = ['acme', 'beta'];

/**
 * Sends `count` inputs to a gateway of its own, several at a time.
 * @param onProgress told now and then how many are done
 */
export async function fuzz(
  count: number,
  seed: number,
  onProgress: (done: number) => void = () => {},
): Promise<FuzzResult> {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
  const gateway = await startFuzzedGateway(folder);
  const failures: string[] = [];
  const fail = (what: string) => {
    if (failures.length < MAX_FAILURES) failures.push(what);
  };
  const onCrash = (error: unknown) => fail(`a defect escaped: ${(error as Error)?.stack ?? String(error)}`);
  process.on('uncaughtException', onCrash);
  process.on('unhandledRejection', onCrash);
  const pool = new Pool(gateway.url, { connections: CONNECTIONS, pipelining: 1 });
  try {
    const byStatus: Record<string, number> = {};
    const random = new Random(seed);
    const world: FuzzWorld = {
      operatorKey: OPERATOR,
      tenantKeys: TENANTS.map(keyOf),
      tenants: TENANTS,
      callIds: Array.from({ length: 12 }, (_, i) => `fuzz-${i}`),
    };
    const deliveries = new Deliveries();
    let sent = 0;
    let quarter = { heap: 0, rss: 0 };
    const send = async (until: number) => {
      while (sent < until && failures.length < MAX_FAILURES) {
        const number = sent++;
        const input = fuzzInput(random, world);
        const delivery = deliveries.begin(input);
        const outcome =
          input.kind === 'bytes' ? await sendBytes(gateway.url, input.bytes) : await sendRequest(pool, input);
        byStatus[outcome.status] = (byStatus[outcome.status] ?? 0) + 1;
        const problem = deliveries.end(delivery, outcome) ? undefined : problemOf(outcome);
        if (problem) fail(`input ${number} of seed ${seed}: ${problem}\n  ${show(input)}`);
        if (sent % 1000 === 0) onProgress(sent);
      }
    };
    const round = (until: number) => Promise.all(Array.from({ length: CONNECTIONS }, () => send(until)));
    await round(Math.ceil(count / 4));
    quarter = await settle(gateway);
    await round(count);
    const end = await settle(gateway);
    for (const problem of await aftermath(gateway)) fail(problem);
    onProgress(sent);
    return {
      inputs: sent,
      byStatus,
      failures,
      heapGrowthBytes: end.heap - quarter.heap,
      rssBytes: { quarter: quarter.rss, end: end.rss },
    };
  } finally {
    process.off('uncaughtException', onCrash);
    process.off('unhandledRejection', onCrash);
    await pool.destroy();
    await gateway.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function keyOf(tenant: string): string {
  return `key-of-${tenant}`;
}

async function startFuzzedGateway(folder: string): Promise<TestGateway> {
  const keysFile = join(folder, 'keys.json');
  const entries = TENANTS.map((tenantId) => ({
    name: tenantId,
    sha256: createHash('sha256').update(keyOf(tenantId)).digest('hex'),
    tenantId,
  }));
  writeFileSync(keysFile, JSON.stringify(entries));
  return startGateway({
    env: {
      W3_VOICE_GATEWAY_API_KEY: OPERATOR,
      API_KEYS_FILE: keysFile,
      SESSION_WORKERS: '1',
      DEFAULT_AGENT_REF: 'quiet',
    },
    simulator: { mode: 'loopback' },
    profiles: { quiet: QUIET_PROFILE },
    overrides: { connectsPerSecond: 10_000 },
  });
}

/** A request that brings the reply of a call, under way. */
interface Delivery {
  readonly call: string;
  /** Whether another of the same call was under way at the same time. */
  isContested: boolean;
}

/**
 * Who asks anew, without acknowledging, before an answer has been read has that answer broken off. Here, where two dozen
 * clients poll the same calls, that happens.
 */
class Deliveries {
  readonly #underWay = new Set<Delivery>();

  begin(input: FuzzInput): Delivery | undefined {
    const call = callPolledBy(input);
    if (call === undefined) return undefined;
    const rivals = [...this.#underWay].filter((delivery) => delivery.call === call);
    for (const rival of rivals) rival.isContested = true;
    const delivery = { call, isContested: rivals.length > 0 };
    this.#underWay.add(delivery);
    return delivery;
  }

  /** Whether it failed as it may when another took its place. */
  end(delivery: Delivery | undefined, { status, text }: Outcome): boolean {
    if (!delivery) return false;
    this.#underWay.delete(delivery);
    return delivery.isContested && status === 'closed' && text.startsWith('UND_ERR_SOCKET');
  }
}

function callPolledBy(input: FuzzInput): string | undefined {
  if (input.kind === 'bytes' || /[?&]ack=/.test(input.path)) return undefined;
  const [, call, rest = ''] = /^\/api\/voice\/stream\/([^/?]+)(.*)$/.exec(input.path) ?? [];
  return /^\/response\b|[?&]poll=1\b/.test(rest) ? call : undefined;
}

interface Outcome {
  readonly status: number | 'closed';
  readonly method: string;
  readonly contentType: string;
  readonly retryAfter: string | undefined;
  readonly text: string;
}

async function sendRequest(pool: Pool, input: Extract<FuzzInput, { kind: 'request' }>): Promise<Outcome> {
  try {
    const { statusCode, headers, body } = await pool.request({
      method: input.method as 'GET',
      path: input.path,
      headers: input.headers,
      body: input.body ?? null,
    });
    return {
      status: statusCode,
      method: input.method,
      contentType: String(headers['content-type'] ?? ''),
      retryAfter: headers['retry-after'] as string | undefined,
      text: await body.text(),
    };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // The client library's own refusals are no inputs; a connection that is closed early is an answer to some.
    if (code === 'UND_ERR_INVALID_ARG') return { ...CLOSED, text: 'not sent' };
    return { ...CLOSED, text: `${code}: ${message}` };
  }
}

const CLOSED: Outcome = { status: 'closed', method: '', contentType: '', retryAfter: undefined, text: '' };

/** Writes bytes, says that no more come, and reads what is answered. */
function sendBytes(url: string, bytes: Buffer): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (data) => {
      text += data;
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      const [head = '', body = ''] = text.replace('HTTP/1.1 100 Continue\r\n\r\n', '').split('\r\n\r\n');
      const status = /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1];
      resolve({
        status: status === undefined ? 'closed' : Number(status),
        method: 'bytes',
        contentType: /content-type: (.*)/i.exec(head)?.[1] ?? '',
        retryAfter: /retry-after: (.*)/i.exec(head)?.[1],
        // Behind a first answer others may follow.
        text: body.slice(0, Number(/content-length: (\d+)/i.exec(head)?.[1] ?? body.length)),
      });
    });
    socket.end(bytes);
  });
}

function problemOf({ status, method, contentType, retryAfter, text }: Outcome): string | undefined {
  if (status === 'closed') return text === '' || text === 'not sent' ? undefined : `the connection failed: ${text}`;
  if (status < 400) return undefined;
  if (method === 'HEAD') return status >= 500 ? `answered ${status}` : undefined;
  let body: Record<string, unknown>;
  try {
    body = JSON.parse(text);
  } catch {
    return `answered ${status} with ${JSON.stringify(text.slice(0, 200))}`;
  }
  const { error, code, requestId } = body;
  if (status >= 500 && !EXPECTED_503.has(String(code))) return `answered ${status}: ${text.slice(0, 500)}`;
  if (status === 503 && retryAfter === undefined) return 'answered 503 without Retry-After';
  if (!contentType.startsWith('application/json')) return `answered ${status} as ${contentType}`;
  if (typeof error !== 'string' || error.length === 0 || typeof code !== 'string' || typeof requestId !== 'string') {
    return `answered ${status} with the error ${text.slice(0, 500)}`;
  }
  if (error.length > 600) return `answered with a sentence of ${error.length} characters`;
  if (/node_modules|\.ts:\d|\.js:\d|node:internal/.test(text)) return `told of its inside: ${text.slice(0, 500)}`;
  return undefined;
}

function show(input: FuzzInput): string {
  if (input.kind === 'bytes') return `bytes ${JSON.stringify(input.bytes.toString('latin1').slice(0, 300))}`;
  const { method, path, headers, body } = input;
  const shown =
    body === undefined ? '' : ` ${body.length} bytes ${JSON.stringify(body.toString('latin1').slice(0, 200))}`;
  return `${method} ${path.slice(0, 200)} ${JSON.stringify(headers).slice(0, 300)}${shown}`;
}

/** Ends every call, collects garbage, and measures. */
async function settle({ url }: TestGateway): Promise<{ heap: number; rss: number }> {
  const { sessions } = (await http('GET', `${url}/api/voice/sessions`, undefined, { 'x-api-key': OPERATOR })).body;
  for (const { callId, tenantId } of sessions as { callId: string; tenantId: string }[]) {
    await new TestCall(url, encodeURIComponent(callId), { 'x-api-key': OPERATOR, 'x-tenant-id': tenantId }).end();
  }
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let times = 0; times < 3; times++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    collect();
  }
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { heap: heapUsed + arrayBuffers, rss };
}

/** Whether the gateway is as good as before. */
async function aftermath(gateway: TestGateway): Promise<string[]> {
  const problems: string[] = [];
  const { sessions } = (await http('GET', `${gateway.url}/health`)).body;
  if (sessions !== 0) problems.push(`${sessions} sessions are left`);
  const { connectionsOpen } = gateway.simulator.stats;
  if (connectionsOpen !== 0) problems.push(`${connectionsOpen} upstream connections are left`);
  const call = new TestCall(gateway.url, 'after-all', { 'x-api-key': OPERATOR });
  await call.create({ sampleRate: 24_000 });
  await call.send(Buffer.alloc(2880, 1));
  await call.pollUntil(() => call.heard.length > 0);
  if (!call.heard[0]!.equals(Buffer.alloc(2880, 1))) problems.push('a call no longer carries its audio');
  await call.end();
  return problems;
}
