import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { http, TestCall } from '../support/call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: { key: string; value: Record<string, unknown> }[];
  readonly events?: { name: string; timeUnixNano: string }[];
  readonly status?: { code?: number };
}

/** What everybody whom a gateway talks to got: spans, webhooks and summaries. */
const received: { path: string; headers: IncomingHttpHeaders; body: string }[] = [];
let server: Server;
let isAway = false;
let gateway: TestGateway;
let log = '';

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (piece) => {
      body += piece;
    });
    request.on('end', () => {
      const { url = '', headers } = request;
      received.push({ path: url, headers, body });
      const status = isAway && url === '/otlp/v1/traces' ? 400 : 200;
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  gateway = await startGateway({
    env: {
      SESSION_WORKERS: '1',
      DEFAULT_AGENT_REF: 'quiet',
      W3_API_URL: base,
      OTEL_EXPORTER_OTLP_ENDPOINT: `${base}/otlp`,
      OTEL_EXPORTER_OTLP_HEADERS: 'x-token=a%20b',
      OTEL_SERVICE_NAME: 'calls-of-the-test',
    },
    simulator: { speedup: Number.POSITIVE_INFINITY, responseDelayMs: 1 },
    profiles: { quiet: QUIET_PROFILE },
    log: pino(
      { level: 'warn' },
      new Writable({
        write(chunk, _encoding, done) {
          log += chunk;
          done();
        },
      }),
    ),
  });
});
afterAll(async () => {
  await gateway.stop();
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  received.length = 0;
});

/** A call with one answer to a key. */
async function oneCall(callId: string, headers: Record<string, string> = {}): Promise<TestCall> {
  const call = new TestCall(gateway.url, callId, headers);
  expect((await call.create()).status).toBe(200);
  await call.send({ dtmf: '1#' });
  await call.pollUntil(({ heard }) => heard.length > 0);
  await call.end();
  return call;
}

async function spansOf(callId: string): Promise<Span[]> {
  const all = () =>
    received
      .filter(({ path }) => path === '/otlp/v1/traces')
      .flatMap(({ body }) => JSON.parse(body).resourceSpans)
      .flatMap(({ scopeSpans }) => scopeSpans)
      .flatMap(({ spans }) => spans as Span[]);
  const call = () => all().find(({ attributes }) => attributes.some(({ value }) => value['stringValue'] === callId));
  await expect.poll(call, { timeout: 20_000, interval: 50 }).toBeDefined();
  const { traceId } = call()!;
  return all().filter((span) => span.traceId === traceId);
}

const attribute = (span: Span, name: string) =>
  Object.values(span.attributes.find(({ key }) => key === name)?.value ?? {})[0];

it('has a span a call, and in it a span a turn with the steps of its answer', async () => {
  await oneCall('traced', { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: 'vendor=1' });
  const spans = await spansOf('traced');
  const [call] = spans.filter(({ name }) => name === 'call');
  expect(call).toMatchObject({ traceId: TRACE, parentSpanId: SPAN });
  expect(attribute(call!, 'voice.end_reason')).toBe('completed');
  expect(attribute(call!, 'gen_ai.request.model')).toBe('gpt-realtime-2.1');
  expect(Number(attribute(call!, 'gen_ai.usage.output_tokens'))).toBeGreaterThan(0);
  expect(call!.events?.map(({ name }) => name)).toEqual(expect.arrayContaining(['ready', 'dtmf_sent', 'ended']));
  const turns = spans.filter(({ name }) => name !== 'call');
  expect(turns.map(({ name }) => name)).toEqual(['turn: dtmf']);
  expect(turns[0]).toMatchObject({ parentSpanId: call!.spanId });
  expect(turns[0]!.events?.map(({ name }) => name)).toEqual([
    'response_started',
    'first_delta',
    'in_outbox',
    'handed_over',
  ]);
  const times = [call!, turns[0]!].flatMap((span) => [span.startTimeUnixNano, span.endTimeUnixNano].map(BigInt));
  const [callStart, callEnd, turnStart, turnEnd] = times as [bigint, bigint, bigint, bigint];
  expect([callStart <= turnStart, turnStart <= turnEnd, turnEnd <= callEnd]).toEqual([true, true, true]);
  const [batch] = received.filter(({ path }) => path === '/otlp/v1/traces');
  expect(batch!.headers['x-token']).toBe('a b');
  expect(batch!.body).toContain('calls-of-the-test');
});

it('is handed to the backend with the summary of the call', async () => {
  await oneCall('told', { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: 'vendor=1' });
  const spans = await spansOf('told');
  const told = () => received.find(({ path, body }) => path === '/api/voip/ai-sessions' && body.includes('"told"'));
  await expect.poll(told, { timeout: 10_000, interval: 20 }).toBeDefined();
  const call = spans.find((span) => attribute(span, 'voice.call_id') === 'told')!;
  expect(told()!.headers).toMatchObject({ traceparent: `00-${TRACE}-${call.spanId}-01`, tracestate: 'vendor=1' });
});

it('begins with a call that came without one; a field of the body is as good as a header', async () => {
  await oneCall('alone');
  const alone = (await spansOf('alone')).find(({ name }) => name === 'call')!;
  expect(alone.traceId).not.toBe(TRACE);
  expect(alone.parentSpanId ?? '').toBe('');
  const call = new TestCall(gateway.url, 'by-body');
  await call.create({ traceparent: `00-${TRACE}-${SPAN}-01` });
  await call.end();
  expect((await spansOf('by-body')).some(({ parentSpanId }) => parentSpanId === SPAN)).toBe(true);
});

it('tells of a call that the upstream did not take', async () => {
  gateway.simulator.nextConnection({ refuseHandshake: { status: 401 } });
  expect((await new TestCall(gateway.url, 'refused').create()).status).toBe(502);
  const [call] = await spansOf('refused');
  expect(call!.status?.code).toBe(2);
});

it('is lost where nobody takes it, which is counted, and calls go on', async () => {
  isAway = true;
  await oneCall('lost');
  const lost = async () => {
    const { body } = await http('GET', `${gateway.url}/metrics`);
    return Number(/^voice_gateway_trace_spans_total\{outcome="lost"\} (\d+)$/m.exec(body)?.[1]);
  };
  await expect.poll(lost, { timeout: 20_000, interval: 50 }).toBeGreaterThan(0);
  expect(log).toContain('traces are not taken');
  await oneCall('after');
  isAway = false;
  await oneCall('again');
  await spansOf('again');
});
