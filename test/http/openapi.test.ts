import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SimulatorConnection } from '../../src/simulator/server.ts';
import { type Answer, http, TestCall } from '../support/call.ts';
import { EventClient, type ServerSentEvent } from '../support/event-stream.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';
import { startStalledUpstream } from '../support/stalled-upstream.ts';

/** As much of OpenAPI 3.1 as is looked at here. */
interface Media {
  readonly schema: TSchema & SchemaNode;
  readonly example?: unknown;
  readonly examples?: Record<string, { summary: string; value: unknown }>;
}
interface SchemaNode {
  readonly type?: string;
  readonly format?: string;
  readonly description?: string;
  readonly properties?: Record<string, SchemaNode>;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
}
interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly security?: readonly object[];
  readonly parameters?: readonly {
    name: string;
    in: string;
    required: boolean;
    description: string;
    schema: SchemaNode;
    example?: string;
  }[];
  readonly requestBody?: { required: boolean; content: Record<string, Media> };
  readonly responses: Record<string, { description: string; content: Record<string, Media> }>;
}
interface OpenApi {
  readonly openapi: string;
  readonly info: { title: string; version: string };
  readonly security: readonly object[];
  readonly components: { securitySchemes: Record<string, object> };
  readonly tags: readonly { name: string }[];
  readonly paths: Record<string, Record<string, Operation>>;
}

/** The operator's key: for every tenant, and for the one that the examples speak of. */
const ANYONE = { 'x-api-key': 'the-operators-key' };
const OPERATOR = { ...ANYONE, 'x-tenant-id': '00000000-0000-0000-0000-000000000001' };
const ACME = { 'x-api-key': 'key-of-acme' };
const BETA = { 'x-api-key': 'key-of-beta' };
/** A tenant that may spend nothing. */
const BARRED = { 'x-api-key': 'key-of-barred' };
const EXAMPLE_CALL = 'unique-call-id';
const OPEN = ['/health', '/ready', '/metrics', '/console/sign-in', '/console/sign-out'];

let folder: string;
let gateway: TestGateway;
let document: OpenApi;
const load = { eventLoopMs: 0, poolQueue: 0, rssMb: 100 };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'openapi-'));
  const entries = ['acme', 'beta', 'barred'].map((tenantId) => ({
    name: tenantId,
    sha256: createHash('sha256').update(`key-of-${tenantId}`).digest('hex'),
    tenantId,
    ...(tenantId === 'barred' ? { budgetPerDay: 0 } : {}),
  }));
  writeFileSync(join(folder, 'keys.json'), JSON.stringify(entries));
  gateway = await startGateway({
    env: {
      SESSION_WORKERS: '1',
      W3_VOICE_GATEWAY_API_KEY: OPERATOR['x-api-key'],
      API_KEYS_FILE: join(folder, 'keys.json'),
      DEFAULT_AGENT_REF: 'quiet',
      MAX_SESSIONS: '4',
      MAX_SESSIONS_PER_TENANT: '2',
      CREATE_TIMEOUT_MS: '1000',
      OVERLOAD_RSS_MB: '1000',
    },
    simulator: { mode: 'loopback' },
    profiles: {
      quiet: { ...QUIET_PROFILE, tools: [{ type: 'transfer_to_extension' }], transferExtensions: ['200'] },
      recorded: { ...QUIET_PROFILE, recording: {} },
    },
    overrides: {
      load: { eventLoopMs: () => load.eventLoopMs, poolQueue: () => load.poolQueue, rssMb: () => load.rssMb },
      connectsPerSecond: 1000,
    },
  });
  document = (await http('GET', `${gateway.url}/docs/json`)).body;
  // Of an answer without a body there is nothing to look at.
  for (const { operation } of operations()) {
    for (const answer of Object.values(operation.responses)) Object.assign(answer, { content: answer.content ?? {} });
  }
});
afterAll(async () => {
  await gateway.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface NamedOperation {
  readonly path: string;
  readonly method: string;
  readonly operation: Operation;
}

function operations(): NamedOperation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
}

function examplesOf({ example, examples }: Media): [string, unknown][] {
  if (examples) return Object.entries(examples).map(([name, { value }]) => [name, value]);
  return example === undefined ? [] : [['example', example]];
}

describe('the document', () => {
  it('is OpenAPI 3.1 with a title, keys and tags', () => {
    expect(document.openapi).toMatch(/^3\.1\.\d$/);
    expect(document.info.title).toBe('W3 Voice Gateway');
    expect(document.info.version).toMatch(/^\d+\.\d+\.\d+$/);
    const schemes = Object.keys(document.components.securitySchemes);
    expect(document.security.map((one) => Object.keys(one)[0])).toEqual(schemes);
  });

  it('has every route, and no other', () => {
    const routes = new URL('../../src/http/routes/', import.meta.url);
    const registered = readdirSync(routes).flatMap((file) =>
      [...readFileSync(new URL(file, routes), 'utf8').matchAll(/app\.(get|post|put|delete|patch)\(\s*'([^']+)'/g)].map(
        ([, method, url]) => `${method} ${url!.replace(/:(\w+)/g, '{$1}')}`,
      ),
    );
    expect(registered.length).toBeGreaterThanOrEqual(9);
    expect(
      operations()
        .map(({ method, path }) => `${method} ${path}`)
        .sort(),
    ).toEqual(registered.sort());
  });

  it('names every operation once, says what it does and whether it needs a key', () => {
    const ids = operations().map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    const tags = document.tags.map(({ name }) => name);
    for (const { operation, path } of operations()) {
      expect(operation.summary, path).toMatch(/\S/);
      expect(
        operation.tags.every((tag) => tags.includes(tag)),
        path,
      ).toBe(true);
      const isOpen = operation.security?.length === 0;
      expect(isOpen, path).toBe(OPEN.includes(path));
      expect('401' in operation.responses, path).toBe(!isOpen);
    }
  });

  it('describes every field and every parameter', () => {
    const undescribed: string[] = [];
    const visit = (node: SchemaNode, at: string) => {
      for (const [name, property] of Object.entries(node.properties ?? {})) {
        if (!property.description) undescribed.push(`${at}.${name}`);
        visit(property, `${at}.${name}`);
      }
      if (node.items) visit(node.items, `${at}[]`);
      for (const name of node.required ?? []) expect(node.properties, at).toHaveProperty([name]);
    };
    for (const { operation, path } of operations()) {
      const declared = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const parameters = operation.parameters ?? [];
      expect(parameters.filter((one) => one.in === 'path').map(({ name }) => name)).toEqual(declared);
      for (const one of parameters) {
        if (!one.description) undescribed.push(`${operation.operationId} ?${one.name}`);
        if (one.in === 'path') expect(one).toMatchObject({ required: true, example: EXAMPLE_CALL });
      }
      for (const [type, media] of Object.entries(operation.requestBody?.content ?? {})) {
        visit(media.schema, `${operation.operationId} ${type}`);
      }
      for (const [status, { description, content }] of Object.entries(operation.responses)) {
        if (!description || description === 'Default Response') undescribed.push(`${operation.operationId} ${status}`);
        for (const media of Object.values(content)) visit(media.schema, `${operation.operationId} ${status}`);
      }
    }
    expect(undescribed).toEqual([]);
  });

  it('has no example inside a schema, where it would have to be one value', () => {
    const visit = (node: unknown, at: string): number => {
      if (typeof node !== 'object' || node === null) return 0;
      let schemas = 0;
      for (const [name, child] of Object.entries(node)) {
        if (name !== 'schema') schemas += visit(child, `${at}/${name}`);
        else {
          schemas += 1;
          expect(JSON.stringify(child), at).not.toMatch(/"examples?":|"x-/);
        }
      }
      return schemas;
    };
    expect(visit(document.paths, '')).toBeGreaterThan(30);
  });

  it('has examples of every body and every answer, and they are what their schemas say', () => {
    let count = 0;
    for (const { operation } of operations()) {
      const media = [
        ...Object.values(operation.requestBody?.content ?? {}),
        ...Object.values(operation.responses).flatMap(({ content }) => Object.values(content)),
      ];
      for (const one of media) {
        // Bytes cannot be shown, and there is nothing of nothing.
        if (one.schema.format === 'binary' || one.schema.type === 'null') continue;
        const examples = examplesOf(one);
        expect(examples.length, operation.operationId).toBeGreaterThan(0);
        for (const [name, value] of examples) {
          const validator = Compile(one.schema);
          expect(
            validator.Check(value),
            `${operation.operationId} ${name}: ${JSON.stringify(validator.Errors(value))}`,
          ).toBe(true);
          count += 1;
        }
      }
    }
    expect(count).toBeGreaterThan(60);
  });
});

// Replaying

async function endAll(url = gateway.url): Promise<void> {
  const { sessions } = (await http('GET', `${url}/api/voice/sessions`, undefined, ANYONE)).body;
  for (const { callId, tenantId } of sessions) await end(callId, { ...OPERATOR, 'x-tenant-id': tenantId }, url);
}
const end = (callId: string, headers: Record<string, string>, url = gateway.url) =>
  new TestCall(url, callId, headers).end();

async function exampleCall(body: object = {}): Promise<{ call: TestCall; upstream: SimulatorConnection }> {
  const call = new TestCall(gateway.url, EXAMPLE_CALL, OPERATOR);
  const opened = gateway.simulator.waitForConnection();
  expect((await call.create(body)).status).toBe(200);
  return { call, upstream: await opened };
}

function send(
  { method, path, operation }: NamedOperation,
  options: { base?: string; callId?: string; query?: string; body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const isStream = operation.operationId === 'duplex';
  // A stream that is answered when its body ends.
  const { callId = EXAMPLE_CALL, query = isStream ? '?down=0' : '', headers: given = OPERATOR } = options;
  const headers = isStream ? { 'content-type': 'audio/pcmu', ...given } : given;
  const body = options.body ?? (isStream ? Buffer.alloc(160) : undefined);
  const url = (options.base ?? gateway.url) + path.replace('{callId}', callId) + query;
  return http(method.toUpperCase(), url, body, headers);
}

/** A stream of events, read until one has come; as the answer that it is so far. */
async function streamed(
  { path }: NamedOperation,
  query: string,
  isLast: (event: ServerSentEvent) => boolean,
): Promise<Answer> {
  const client = await EventClient.open(gateway.url + path.replace('{callId}', EXAMPLE_CALL) + query, OPERATOR);
  const isTold = ({ event, data }: ServerSentEvent) => isLast({ event, data, id: undefined });
  await client.until(({ events }) =>
    events.some((one) => isTold(one) || one.data.events?.some((data: object) => isTold({ ...one, data }))),
  );
  client.close();
  return {
    status: client.status,
    headers: client.response.headers as Answer['headers'],
    body: JSON.stringify(client.events),
  };
}

/** A body that the operation takes. */
function goodBody({ operation }: NamedOperation): unknown {
  const media = operation.requestBody?.content['application/json'];
  return media && examplesOf(media)[0]?.[1];
}

const SPEECH = { audio: Buffer.alloc(9600, 1).toString('base64') };
const isQuick = { timeout: 15_000 };

/** Has the upstream say that the caller was understood. */
function transcribe(upstream: SimulatorConnection): void {
  upstream.send({
    type: 'conversation.item.input_audio_transcription.completed',
    item_id: 'item_1',
    content_index: 0,
    transcript: 'Hello',
  });
}

/** Has the model call the transfer function. */
function callTransfer(upstream: SimulatorConnection): void {
  const response = { id: 'resp_1', object: 'realtime.response', output: [] };
  const args = { extension: '200', reason: 'The caller asked for a person' };
  upstream.send({ type: 'response.created', response: { ...response, status: 'in_progress' } });
  upstream.send({
    type: 'response.output_item.done',
    response_id: 'resp_1',
    output_index: 0,
    item: {
      id: 'item_2',
      type: 'function_call',
      status: 'completed',
      call_id: 'call_1',
      name: 'transfer_to_extension',
      arguments: JSON.stringify(args),
    },
  });
  upstream.send({ type: 'response.done', response: { ...response, status: 'completed' } });
}

/** A call with half a minute of reply in its outbox, so that there is something to interrupt. */
async function interruptedCall(): Promise<TestCall> {
  const { call } = await exampleCall();
  await call.send({ audio: Buffer.alloc(320_000, 1).toString('base64') });
  await expect.poll(async () => (await call.info()).body.queuedAudioMs, isQuick).toBeGreaterThan(9000);
  await call.poll('maxMs=60');
  await call.send({ dtmf: '5#' });
  await expect.poll(async () => (await call.info()).body.generation, isQuick).toBe(1);
  return call;
}

/** A sentence without the values in it: an example has others, and says the same. */
function patternOf(sentence: string): string {
  return sentence.replace(/"[^"]*"|\d+( [kM]B)?/g, '…');
}

let pastCalls = 0;

/** A call that is over, and was interrupted before it said a word. */
async function pastCall(): Promise<string> {
  pastCalls += 1;
  const callId = `past-call-${pastCalls}`;
  const call = new TestCall(gateway.url, callId, OPERATOR);
  await call.create({ callerNumber: '393297626144', did: '5406594427' });
  await call.end();
  return callId;
}

async function drainingGateway(use: (url: string) => Promise<Answer>): Promise<Answer> {
  const other = await startGateway({
    env: { SESSION_WORKERS: '1', DEFAULT_AGENT_REF: 'quiet' },
    simulator: { mode: 'loopback' },
    profiles: { quiet: QUIET_PROFILE },
  });
  try {
    await new TestCall(other.url, 'running').create();
    const stopped = other.daemon.stop(60_000);
    const answer = await use(other.url);
    await new TestCall(other.url, 'running').end();
    await stopped;
    return answer;
  } finally {
    await other.stop();
  }
}

/** Asks for a new call, in whichever way the operation does. */
function create(
  one: NamedOperation,
  fields: Record<string, string> = {},
  headers: Record<string, string> = OPERATOR,
  base = gateway.url,
): Promise<Answer> {
  if (one.operation.operationId === 'createSession') {
    return send(one, { headers, base, body: { callId: EXAMPLE_CALL, ...fields } });
  }
  return send(one, { headers, base, query: `?${new URLSearchParams({ create: '1', down: '0', ...fields })}` });
}

type Provoker = (operation: NamedOperation) => Promise<Answer>;

/** How each documented answer comes about: by operation and example, or by example where all operations are alike. */
const PROVOKERS: Record<string, Provoker> = {
  unauthorized: (one) => send(one, { headers: {}, body: goodBody(one) }),
  forbidden: (one) => send(one, { headers: { 'x-api-key': 'wrong' }, body: goodBody(one) }),
  invalid_field: (one) => send(one, { headers: { ...OPERATOR, 'x-tenant-id': 'a b' }, body: goodBody(one) }),
  session_not_found: (one) => send(one, { callId: 'never-there', body: goodBody(one) }),
  async ambiguous_call_id(one) {
    await new TestCall(gateway.url, EXAMPLE_CALL, ACME).create();
    await new TestCall(gateway.url, EXAMPLE_CALL, BETA).create();
    return send(one, { headers: ANYONE, body: goodBody(one) });
  },
  invalid_json: (one) =>
    send(one, { body: '{"callId":', headers: { ...OPERATOR, 'content-type': 'application/json' } }),
  body_too_large: (one) =>
    send(one, { body: Buffer.alloc(10_485_761), headers: { ...OPERATOR, 'content-type': 'application/json' } }),
  unsupported_media_type: (one) => send(one, { body: 'x', headers: { ...OPERATOR, 'content-type': 'text/plain' } }),

  'createSession created': (one) => send(one, { body: { callId: EXAMPLE_CALL } }),
  async 'createSession existing'(one) {
    await exampleCall();
    return send(one, { body: { callId: EXAMPLE_CALL } });
  },
  agent_not_found: (one) => create(one, { aiAgentRef: 'sales' }),
  async tenant_full(one) {
    for (const callId of ['a', 'b']) await new TestCall(gateway.url, callId, ACME).create();
    return create(one, {}, ACME);
  },
  budget_exhausted: (one) => create(one, {}, BARRED),
  async gateway_full(one) {
    for (const callId of ['a', 'b']) {
      await new TestCall(gateway.url, callId, ACME).create();
      await new TestCall(gateway.url, callId, BETA).create();
    }
    return create(one);
  },
  upstream_refused(one) {
    gateway.simulator.nextConnection({ refuseHandshake: { status: 401 } });
    return create(one);
  },
  upstream_timeout(one) {
    gateway.simulator.nextConnection({ handshakeDelayMs: 600_000 });
    return create(one);
  },
  draining: (one) => drainingGateway((url) => create(one, {}, {}, url)),
  async overloaded(one) {
    load.rssMb = 5000;
    await expect.poll(async () => (await http('GET', `${gateway.url}/ready`)).status, isQuick).toBe(503);
    const answer = await create(one);
    load.rssMb = 100;
    await expect.poll(async () => (await http('GET', `${gateway.url}/ready`)).status, isQuick).toBe(200);
    return answer;
  },

  async 'streamAudio streamed'(one) {
    await exampleCall();
    return send(one, { body: SPEECH });
  },
  async 'streamAudio interrupted'(one) {
    await interruptedCall();
    return send(one, { body: { dtmf: '1' } });
  },
  async 'streamAudio poll'(one) {
    const { call, upstream } = await exampleCall();
    transcribe(upstream);
    await call.send(SPEECH);
    await expect.poll(async () => (await call.info()).body.queuedAudioMs, isQuick).toBeGreaterThan(0);
    await expect.poll(async () => (await call.info()).body.transcriptCount, isQuick).toBe(1);
    return send(one, { body: { dtmf: '1' }, query: '?poll=1' });
  },
  async 'streamAudio invalid_audio'(one) {
    await exampleCall();
    return send(one, { body: { audio: Buffer.alloc(3199).toString('base64') } });
  },
  async 'streamAudio upstream_busy'(one) {
    const upstream = await startStalledUpstream();
    const other = await startGateway({
      env: { SESSION_WORKERS: '1', DEFAULT_AGENT_REF: 'quiet', OPENAI_REALTIME_URL: upstream.url },
      profiles: { quiet: QUIET_PROFILE },
    });
    try {
      const call = new TestCall(other.url, EXAMPLE_CALL);
      await call.create();
      const body = { audio: Buffer.alloc(7_000_000, 1).toString('base64') };
      for (let i = 0; i < 40; i++) {
        const answer = await http('POST', other.url + one.path.replace('{callId}', EXAMPLE_CALL), body);
        if (answer.status !== 200) return answer;
      }
      throw new Error('the upstream took everything');
    } finally {
      upstream.close();
      await other.stop();
    }
  },

  async 'duplex taken'(one) {
    await exampleCall();
    return send(one);
  },

  async 'pollResponse speech'(one) {
    const { call, upstream } = await exampleCall();
    transcribe(upstream);
    await call.send(SPEECH);
    await expect.poll(async () => (await call.info()).body.queuedAudioMs, isQuick).toBeGreaterThan(0);
    await expect.poll(async () => (await call.info()).body.transcriptCount, isQuick).toBe(1);
    return send(one);
  },
  async 'pollResponse nothing'(one) {
    await exampleCall();
    return send(one, { query: '?timeout=1' });
  },
  async 'pollResponse interrupted'(one) {
    await interruptedCall();
    const answer = await send(one, { query: '?maxMs=60' });
    // The keys are a line of the transcript, and the upstream may have sent something new already.
    const { audio, transcript, ...body } = answer.body;
    expect(transcript).toBe('[User]: (pressed 5#)');
    expect([undefined, 'string']).toContain(audio && typeof audio);
    return { ...answer, body };
  },
  async 'pollResponse transfer'(one) {
    const { upstream } = await exampleCall();
    callTransfer(upstream);
    return send(one, { query: '?timeout=10000' });
  },
  async 'pollResponse over'(one) {
    const { upstream, call } = await exampleCall();
    callTransfer(upstream);
    await call.pollUntil(({ actions }) => actions.length > 0);
    return send(one, { query: '?timeout=10000' });
  },

  async 'endSession ended'(one) {
    await exampleCall();
    return send(one);
  },
  async 'getSession active'(one) {
    await exampleCall();
    return send(one);
  },
  async 'listSessions one'(one) {
    await exampleCall();
    return send(one);
  },
  async 'getSessionEvents turn'(one) {
    await exampleCall();
    return send(one);
  },
  async 'searchCalls last'(one) {
    const callId = await pastCall();
    return send(one, { query: `?q=${callId}` });
  },
  async 'searchCalls more'(one) {
    await pastCall();
    await pastCall();
    return send(one, { query: '?limit=1' });
  },
  async 'searchCalls csv'(one) {
    const callId = await pastCall();
    return send(one, { query: `?q=${callId}&format=csv` });
  },
  async 'searchCalls jsonl'(one) {
    const callId = await pastCall();
    const answer = await send(one, { query: `?q=${callId}`, headers: { ...OPERATOR, accept: 'application/jsonl' } });
    return { ...answer, body: JSON.stringify(answer.body) };
  },
  async 'getCall call'(one) {
    const callId = await pastCall();
    return send(one, { callId });
  },
  async 'usage byModel'(one) {
    await pastCall();
    return send(one, { query: '?by=model' });
  },
  call_not_found: (one) => send(one, { callId: 'never-there' }),
  recording_not_found: (one) => send(one, { callId: 'never-there' }),
  async 'getCall ambiguous_call_id'(one) {
    for (const headers of [ACME, BETA]) {
      const call = new TestCall(gateway.url, 'twice', headers);
      await call.create();
      await call.end();
    }
    return send(one, { callId: 'twice', headers: ANYONE });
  },
  async 'getRecording ambiguous_call_id'(one) {
    for (const headers of [ACME, BETA]) {
      const call = new TestCall(gateway.url, 'twice-recorded', headers);
      await call.create({ aiAgentRef: 'recorded' });
      await call.end();
      const url = `${gateway.url}/api/voice/calls/twice-recorded/recording`;
      await expect.poll(async () => (await http('GET', url, undefined, headers)).status, isQuick).toBe(200);
    }
    return send(one, { callId: 'twice-recorded', headers: ANYONE });
  },
  async history_unavailable(one) {
    const { store } = gateway.daemon;
    await store.terminateThread();
    const answer = await send(one);
    await expect
      .poll(
        () =>
          store.search({ limit: 1 }, 'masked').then(
            () => true,
            () => false,
          ),
        isQuick,
      )
      .toBe(true);
    return answer;
  },
  async 'getSessionEvents line'(one) {
    await exampleCall();
    return streamed(one, '?follow=1', ({ data }) => data.type === 'ready');
  },
  async 'getSessionEvents end'(one) {
    const { call } = await exampleCall();
    await call.end();
    return streamed(one, '?follow=1', ({ event }) => event === 'end');
  },
  async 'followCalls snapshot'(one) {
    await exampleCall();
    return streamed(one, '', ({ event }) => event === 'snapshot');
  },
  async 'followCalls changes'(one) {
    await exampleCall();
    return streamed(one, '', ({ event }) => event === 'snapshot');
  },
  async too_many_listeners(one) {
    const call = one.path.includes('{callId}') ? await exampleCall() : undefined;
    const url = gateway.url + one.path.replace('{callId}', EXAMPLE_CALL);
    const open = Array.from({ length: 20 }, () => EventClient.open(`${url}?follow=1`, OPERATOR));
    const clients = await Promise.all(open);
    const answer = await send(one, { query: '?follow=1' });
    for (const client of clients) client.close();
    await call?.call.end();
    return answer;
  },
  'searchLooks looks': async (one) => {
    const callId = await pastCall();
    await http('GET', `${gateway.url}/api/voice/calls/${callId}`, undefined, OPERATOR);
    return send(one, { query: `?call=${callId}` });
  },
  'status well': (one) => send(one, { headers: ANYONE }),
  'who operator': (one) => send(one, { headers: ANYONE }),
  'who tenant': (one) => send(one, { headers: ACME }),
  'signIn forbidden': (one) => send(one, { headers: {}, body: { key: 'wrong' } }),
  foreign_origin: (one) => send(one, { headers: { origin: 'https://example.org' }, body: goodBody(one) }),
  async too_many_attempts(one) {
    let answer: Answer;
    do answer = await send(one, { headers: {}, body: { key: 'wrong' } });
    while (answer.status === 403);
    return answer;
  },
  'health ok': (one) => send(one),
  'ready ready': (one) => send(one),
  'ready draining': (one) => drainingGateway((url) => http('GET', url + one.path)),
  'metrics gauge': (one) => send(one),
};

describe('replayed', () => {
  afterEach(() => endAll());

  it('every example of a request is taken', async () => {
    let count = 0;
    for (const one of operations()) {
      for (const [type, media] of Object.entries(one.operation.requestBody?.content ?? {})) {
        const isBinary = media.schema.format === 'binary';
        const encoding = /pcm[ua]/.exec(type)?.[0];
        for (const [name, value] of isBinary ? [['bytes', undefined]] : examplesOf(media)) {
          await endAll();
          if (one.path.includes('{callId}')) await exampleCall(encoding ? { encoding } : {});
          const wav = readFileSync(new URL('../../fixtures/calls/goodbye-16k.wav', import.meta.url));
          const bytes = /wav/.test(type) ? wav : Buffer.alloc(640, 1);
          const answer = await send(one, {
            body: isBinary ? bytes : value,
            headers: { ...OPERATOR, 'content-type': type },
          });
          const documented = one.operation.responses['200']?.content['application/json'];
          expect(answer.status, `${one.operation.operationId} ${type} ${name}: ${JSON.stringify(answer.body)}`).toBe(
            documented ? 200 : 204,
          );
          if (documented) expect(Compile(documented.schema).Check(answer.body)).toBe(true);
          count += 1;
        }
      }
    }
    expect(count).toBeGreaterThanOrEqual(14);
  });

  it('every documented answer comes about: its status, its schema, and at its top the fields of the example', async () => {
    const used = new Set<string>();
    for (const one of operations()) {
      for (const [status, { content }] of Object.entries(one.operation.responses)) {
        for (const [type, media] of Object.entries(content)) {
          for (const [name, value] of examplesOf(media)) {
            const what = `${one.operation.operationId} ${name}`;
            const key = PROVOKERS[what] ? what : name;
            used.add(key);
            const provoke = PROVOKERS[key];
            if (!provoke) throw new Error(`nobody knows how to bring about ${what}`);
            const answer = await provoke(one);
            expect(answer.status, `${what}: ${JSON.stringify(answer.body).slice(0, 300)}`).toBe(Number(status));
            expect(String(answer.headers['content-type']), what).toContain(type);
            const validator = Compile(media.schema);
            expect(validator.Check(answer.body), `${what}: ${JSON.stringify(validator.Errors(answer.body))}`).toBe(
              true,
            );
            if (typeof value === 'object') {
              const shown = value as { code?: string; error?: string };
              if (shown.code) expect(answer.body.code, what).toBe(shown.code);
              if (shown.code) expect(patternOf(answer.body.error), what).toContain(patternOf(shown.error!));
              expect(Object.keys(answer.body).sort(), what).toEqual(Object.keys(shown).sort());
            }
            await endAll();
          }
        }
      }
    }
    expect([...used].sort()).toEqual(Object.keys(PROVOKERS).sort());
  }, 120_000);
});
