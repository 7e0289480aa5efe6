import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { WebhookTool } from '../../src/backend/profiles/agent-profile.ts';
import { runWebhook, type WebhookOptions } from '../../src/backend/webhooks/webhook.ts';
import { always, deadUrl, sendAnswer, TestServer } from './support/http-server.ts';
import { MemoryLog } from './support/memory-log.ts';

const context = {
  callId: 'call-1',
  tenantId: 'acme',
  storeId: 'store 7',
  callerNumber: '+393297626144',
  did: '5406594427',
  aiAgentRef: 'care',
};

let server: TestServer;
let log: MemoryLog;

beforeEach(async () => {
  server = await TestServer.start(always(200, { found: true }));
  log = new MemoryLog();
});
afterEach(() => server.close());

function run(
  tool: Partial<WebhookTool> & { path?: string },
  args: Record<string, unknown> = {},
  options: Partial<WebhookOptions> = {},
) {
  const { path = '/', ...rest } = tool;
  const properties = Object.fromEntries(Object.keys(args).map((name) => [name, {}]));
  const parameters = { type: 'object', properties };
  return runWebhook(
    { type: 'webhook', name: 'look_up', description: '', parameters, url: server.url + path, ...rest },
    args,
    context,
    { allowedHosts: [server.host], log: log.logger, ...options },
  );
}

const errorOf = (output: string) => (JSON.parse(output) as { error: string }).error;
const lastUrl = () => server.received.at(-1)?.url;

describe('requests', () => {
  test('POST is the default and carries arguments and call as JSON', async () => {
    const result = await run({}, { orderId: 7, note: 'ciao' });
    expect(result).toMatchObject({ ok: true, status: 200, output: '{"found":true}' });
    expect(result.durationMs).toBeGreaterThanOrEqual(0);
    expect(server.received[0]).toMatchObject({ method: 'POST', url: '/' });
    expect(server.received[0]?.headers['content-type']).toBe('application/json');
    expect(JSON.parse(server.received[0]?.body ?? '')).toEqual({
      arguments: { orderId: 7, note: 'ciao' },
      call: context,
    });
  });

  test("carry the call's place in a trace, but for a tool that has a header of its own of that name", async () => {
    const headers = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
    await run({}, {}, { headers });
    expect(server.received.at(-1)?.headers).toMatchObject(headers);
    await run({ headers: { Traceparent: 'its own' } }, {}, { headers });
    expect(server.received.at(-1)?.headers['traceparent']).toBe('its own');
  });

  test('GET and DELETE put the arguments the template does not use into the query', async () => {
    const args = { id: 'a/b c', verbose: true, tags: ['x', 'y'], nothing: null, format: 'xml' };
    for (const method of ['GET', 'DELETE'] as const) {
      await run({ method, path: '/orders/{{id}}?format=json#top' }, args);
      expect(server.received.at(-1)).toMatchObject({ method, body: '' });
      expect(lastUrl()).toBe('/orders/a%2Fb%20c?format=json&verbose=true&tags=%5B%22x%22%2C%22y%22%5D');
    }
  });

  test('placeholders are encoded, and those of the call cannot be given by the model', async () => {
    const args = { tenantId: 'other', callerNumber: '0', q: 'a&b=c#d?e', constructor: 1 };
    await run({ method: 'PUT', path: '/t/{{tenantId}}/{{storeId}}?from={{callerNumber}}&q={{q}}&none={{none}}' }, args);
    expect(lastUrl()).toBe('/t/acme/store%207?from=%2B393297626144&q=a%26b%3Dc%23d%3Fe&none=');
  });

  test('arguments that the schema does not have reach neither the URL nor the body', async () => {
    const parameters = { type: 'object', properties: { id: { type: 'string' } } };
    const args = { id: '7', isAdmin: true, constructor: 'x' };
    await run({ method: 'GET', path: '/orders/{{id}}', parameters }, args);
    expect(lastUrl()).toBe('/orders/7');
    await run({ path: '/orders', parameters }, args);
    expect(JSON.parse(server.received.at(-1)?.body ?? '').arguments).toEqual({ id: '7' });
    expect(log.lines.at(-1)).toMatchObject({ undeclaredArguments: 2 });
    await run({ method: 'GET', path: '/orders/{{id}}', parameters: { type: 'object' } }, args);
    expect(lastUrl()).toBe('/orders/7');
    for (const additionalProperties of [true, { type: 'string' }]) {
      await run({ method: 'GET', parameters: { ...parameters, additionalProperties } }, args);
      expect(lastUrl()).toBe('/?id=7&isAdmin=true&constructor=x');
    }
    await run({ method: 'GET', parameters: { additionalProperties: false } }, args);
    expect(lastUrl()).toBe('/');
  });

  test.each([
    ['missing', {}],
    ['null', { id: null }],
    ['empty', { id: ' ' }],
    ['a parent', { id: '..' }],
    ['an encoded parent', { id: '%2e%2E' }],
    ['a way up', { id: 'x/../../admin' }],
    ['a way up with backslashes', { id: '..\\admin' }],
    ['a control character', { id: 'x\u0000' }],
    ['endless', { id: 'x'.repeat(5_000) }],
  ])('a path argument that is %s is refused before anything is sent', async (_name, args) => {
    const result = await run({ path: '/orders/{{id}}/cancel' }, args);
    expect(result.ok).toBe(false);
    expect(result.status).toBeUndefined();
    expect(errorOf(result.output)).toContain('"id"');
    expect(server.received).toEqual([]);
  });

  test('arguments that only together lead elsewhere are refused', async () => {
    expect((await run({ path: '/orders/{{a}}{{b}}' }, { a: '.', b: '.' })).ok).toBe(false);
    expect(server.received).toEqual([]);
  });

  test('headers take secrets and values of the call, and nothing else of the environment', async () => {
    const environment = { WEBHOOK_TOKEN: 's3cret', HOME: '/root' };
    // biome-ignore lint/suspicious/noTemplateCurlyInString: that is how headers name variables
    const headers = { Authorization: 'Bearer ${WEBHOOK_TOKEN}', 'X-Tenant-Id': '{{tenantId}}', 'X-A': '{{orderId}}' };
    await run({ headers }, { orderId: 'forged' }, { environment });
    expect(server.received[0]?.headers).toMatchObject({
      authorization: 'Bearer s3cret',
      'x-tenant-id': 'acme',
      'x-a': '',
    });
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the same
    for (const value of ['${HOME}', '${WEBHOOK_OTHER}']) {
      const result = await run({ headers: { authorization: value } }, {}, { environment });
      expect(result).toMatchObject({ ok: false });
      expect(errorOf(result.output)).toBe('This tool is not configured correctly.');
    }
    expect(server.received).toHaveLength(1);
  });

  test('only allowed hosts are called, and redirects are not followed', async () => {
    for (const allowedHosts of [[], ['127.0.0.1'], [`localhost:${server.port}`], [`${server.host}/x`]]) {
      const result = await run({}, {}, { allowedHosts });
      expect(errorOf(result.output)).toBe('This tool may not call that service.');
    }
    const withUser = server.url.replace('//', '//user:pass@');
    expect((await run({ url: withUser })).ok).toBe(false);
    expect(server.received).toEqual([]);

    server.answer = always(307, '', { location: 'http://127.0.0.1:1/' });
    const redirected = await run({});
    expect(redirected).toMatchObject({ ok: false, status: 307 });
    expect(errorOf(redirected.output)).toContain('redirect');
    expect(server.received).toHaveLength(1);
  });
});

describe('answers', () => {
  test('text, nothing and what is not text', async () => {
    server.answer = always(200, ' shipped \n');
    expect((await run({})).output).toBe('{"result":"shipped"}');
    server.answer = always(204);
    expect((await run({})).output).toBe('{"result":"done"}');
    server.answer = always(200, 'PNG', { 'content-type': 'image/png' });
    expect((await run({})).output).toBe('{"result":"done"}');
  });

  test('compressed answers are understood, and one that cannot be read is a failure', async () => {
    server.answer = (received, response) => {
      expect(received.headers['accept-encoding']).toContain('gzip');
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
      response.end(gzipSync('{"found":7}'));
    };
    expect(await run({})).toMatchObject({ ok: true, output: '{"found":7}' });
    server.answer = always(200, 'x'.repeat(50), { 'content-encoding': 'lzma' });
    const unreadable = await run({});
    expect(unreadable).toMatchObject({ ok: false, status: 200 });
    expect(errorOf(unreadable.output)).toBe('The service did what it was asked, but its answer cannot be read.');
    expect(log.lines.at(-1)).toMatchObject({ level: 40, problem: 'the coding of the body is unknown' });
    server.answer = always(404, 'x'.repeat(50), { 'content-encoding': 'gzip' });
    expect((await run({})).output).toBe('{"error":"The service refused the request (status 404)."}');
  });

  test('a long answer is cut to 16 KiB of valid JSON', async () => {
    for (const body of ['"\u0001'.repeat(200_000), { list: Array(50_000).fill('è') }, 'x'.repeat(16_384)]) {
      server.answer = always(200, body);
      const { ok, output } = await run({});
      expect(ok).toBe(true);
      expect(Buffer.byteLength(output)).toBeLessThanOrEqual(16 * 1024);
      expect((JSON.parse(output) as { result: string }).result.length).toBeGreaterThan(1_000);
    }
  });

  test('the model hears what a refusal said, and nothing of a broken service', async () => {
    server.answer = always(404, { message: 'no such order' });
    const refused = await run({});
    expect(refused).toMatchObject({ ok: false, status: 404 });
    expect(JSON.parse(refused.output)).toEqual({
      error: 'The service refused the request (status 404).',
      answer: '{"message":"no such order"}',
    });
    server.answer = always(500, 'at Database.connect (/srv/app.js:1)');
    const broken = await run({});
    expect(broken).toMatchObject({ ok: false, status: 500, output: '{"error":"The service failed (status 500)."}' });
  });

  test('a service that hangs, in its body too, becomes a sentence', async () => {
    server.answer = (_received, response) => {
      response.writeHead(200);
      response.write('{');
    };
    const post = await run({ timeoutMs: 100 });
    expect(errorOf(post.output)).toBe(
      'The service did not answer within 0.1 seconds. It may or may not have done what it was asked.',
    );
    server.answer = () => {};
    const get = await run({ timeoutMs: 100, method: 'GET' });
    expect(get.ok).toBe(false);
    expect(errorOf(get.output)).toBe('The service did not answer within 0.1 seconds.');
  });

  test('the end of the call breaks it off', async () => {
    server.answer = () => {};
    const call = new AbortController();
    const running = run({}, {}, { signal: call.signal });
    await server.hasReceived(1);
    call.abort();
    expect(errorOf((await running).output)).toBe('The call ended before the service answered.');
  });

  test('a service that is not there becomes a sentence', async () => {
    const url = await deadUrl();
    const result = await run({ url }, {}, { allowedHosts: [new URL(url).host] });
    expect(errorOf(result.output)).toBe('The service could not be reached.');
  });
});

describe('retries', () => {
  const failFirst = (count: number) => {
    server.answer = (_received, response) => {
      if (server.received.length > count) sendAnswer(response, 200, { found: true });
      else if (server.received.length % 2 === 1) sendAnswer(response, 503);
      else response.socket?.destroy();
    };
  };

  test.each(['GET', 'PUT', 'DELETE'] as const)('%s is repeated as often as it may be', async (method) => {
    failFirst(2);
    expect(await run({ method, retries: 2 })).toMatchObject({ ok: true, status: 200 });
    expect(server.received).toHaveLength(3);
  });

  test('retries end', async () => {
    server.answer = always(503);
    expect(await run({ method: 'GET' })).toMatchObject({ ok: false, status: 503 });
    expect(server.received).toHaveLength(2);
    expect(await run({ method: 'GET', retries: 0 })).toMatchObject({ ok: false, status: 503 });
    expect(server.received).toHaveLength(3);
  });

  test('POST is never repeated, nor is what a repetition will not mend', async () => {
    server.answer = always(503);
    expect(await run({ retries: 3 })).toMatchObject({ ok: false, status: 503 });
    for (const status of [400, 404, 429, 500]) {
      server.answer = always(status);
      await run({ method: 'GET', retries: 3 });
    }
    expect(server.received).toHaveLength(5);
  });
});

test('logs hold no numbers, arguments, secrets or addresses', async () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: that is how headers name variables
  const headers = { authorization: '${WEBHOOK_TOKEN}' };
  const environment = { WEBHOOK_TOKEN: 's3cret' };
  const path = '/x/{{callerNumber}}/{{pin}}';
  await run({ path, headers, method: 'GET' }, { pin: '4711' }, { environment });
  server.answer = (_received, response) => response.socket?.destroy();
  await run({ path, headers }, { pin: '4711' }, { environment });
  await run({ path, headers }, { pin: '../4711' }, { environment });
  expect(log.lines).toHaveLength(3);
  expect(log.lines[0]).toMatchObject({ tool: 'look_up', callId: 'call-1', status: 200 });
  expect(log.text).not.toMatch(/393297626144|4711|s3cret|127\.0\.0\.1/);
});
