import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { RealtimeSimulator, type SimulatorOptions } from '../../src/simulator/server.ts';
import { INSTANT, TestClient } from './client.ts';

let simulator: RealtimeSimulator;
afterEach(() => simulator.close());

async function listen(options: SimulatorOptions = {}): Promise<void> {
  simulator = await RealtimeSimulator.listen({ ...INSTANT, ...options });
}

/** The HTTP answer to an upgrade that is refused. */
async function refusal(
  query: Record<string, string> = {},
  headers: Record<string, string> = { authorization: 'Bearer k' },
) {
  const client = new TestClient(simulator.url, query, { headers });
  client.socket.on('error', () => {});
  const [, response] = (await once(client.socket, 'unexpected-response')) as [unknown, IncomingMessage];
  let body = '';
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode, headers: response.headers, error: JSON.parse(body).error };
}

describe('the upgrade', () => {
  it('is refused with 401 without a key', async () => {
    await listen();
    expect(await refusal({}, {})).toMatchObject({ status: 401, error: { type: 'invalid_request_error' } });
    expect(simulator.stats).toMatchObject({ handshakesRefused: { 401: 1 }, connectionsTotal: 0 });
  });

  it('takes any key, or none if told so', async () => {
    await listen({ requireAuth: false });
    const client = await TestClient.connect(simulator.url, {}, { headers: {} });
    expect(client.types).toEqual(['session.created']);
  });

  it('takes the keys it was given and no others', async () => {
    await listen({ apiKeys: ['right', 'also-right'] });
    expect(await refusal()).toMatchObject({ status: 401, error: { code: 'invalid_api_key' } });
    await TestClient.connect(simulator.url, {}, { headers: { authorization: 'Bearer also-right' } });
  });

  it('is refused with 404 for a model that does not exist, with 400 for none, with 404 elsewhere', async () => {
    await listen();
    expect(await refusal({ model: 'unknown-model' })).toMatchObject({
      status: 404,
      error: { code: 'model_not_found' },
    });
    expect(await refusal({ model: '' })).toMatchObject({ status: 400 });
    const client = new TestClient(simulator.url.replace('/v1/realtime', '/v1/chat'));
    client.socket.on('error', () => {});
    const [, response] = await once(client.socket, 'unexpected-response');
    expect(response.statusCode).toBe(404);
  });

  it.each([401, 403, 404, 429, 500, 503])('is refused with %d on demand, once', async (status) => {
    await listen();
    simulator.nextConnection({ refuseHandshake: { status, retryAfterSeconds: 7 } });
    const { headers, ...rest } = await refusal();
    expect(rest).toMatchObject({ status, error: { message: expect.stringMatching(/./) } });
    expect(headers['retry-after']).toBe('7');
    await TestClient.connect(simulator.url);
  });

  it('is refused for the first connections only, by default faults or by query', async () => {
    await listen();
    simulator.setDefaultFaults({ refuseHandshake: { status: 500 } }, 2);
    expect(await refusal()).toMatchObject({ status: 500 });
    expect(await refusal()).toMatchObject({ status: 500 });
    await TestClient.connect(simulator.url);

    const query = { fault: 'refuse_handshake', fault_status: '429', fault_count: '1', fault_retry_after: '2' };
    expect(await refusal(query)).toMatchObject({ status: 429, headers: { 'retry-after': '2' } });
    await TestClient.connect(simulator.url, query);
  });

  it('keeps its time on demand', async () => {
    await listen();
    simulator.nextConnection({ handshakeDelayMs: 700 });
    const client = new TestClient(simulator.url);
    const other = await TestClient.connect(simulator.url);
    expect(client.types).toEqual([]);
    await client.next('session.created');
    await other.close();
  });

  it('lets a client that hangs up during the handshake go', async () => {
    await listen();
    simulator.nextConnection({ handshakeDelayMs: 60_000 });
    const client = new TestClient(simulator.url);
    client.socket.on('error', () => {});
    const other = await TestClient.connect(simulator.url);
    client.socket.terminate();
    await client.closed;
    await other.update({});
    expect(simulator.stats.connectionsTotal).toBe(1);
  });

  it('answers the beta with an error and close code 4000', async () => {
    await listen();
    const headers = { authorization: 'Bearer k', 'openai-beta': 'realtime=v1' };
    const client = new TestClient(simulator.url, {}, { headers });
    const { error } = await client.next('error');
    expect(error).toMatchObject({ type: 'invalid_request_error', code: 'beta_api_shape_disabled', param: null });
    expect(await client.closed).toEqual({ code: 4000, reason: 'invalid_request_error.beta_api_shape_disabled' });
    expect(client.types).toEqual(['error']);
  });

  it('selects the subprotocol of clients that offer one', async () => {
    await listen();
    const client = new TestClient(simulator.url, {}, {}, ['realtime']);
    await client.next('session.created');
    expect(client.socket.protocol).toBe('realtime');
  });

  it('does not compress, even if the client would', async () => {
    await listen();
    const client = await TestClient.connect(
      simulator.url,
      {},
      { perMessageDeflate: true, headers: { authorization: 'Bearer k' } },
    );
    expect(client.socket.extensions).toBe('');
  });

  it('says over HTTP that it is a WebSocket endpoint', async () => {
    await listen();
    const response = await fetch(simulator.url.replace('ws:', 'http:'));
    expect(response.status).toBe(426);
    await response.text();
  });

  it('speaks TLS', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'simulator-tls-'));
    try {
      const args = [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
      ];
      const files = ['-subj', '/CN=localhost', '-keyout', 'key.pem', '-out', 'cert.pem'];
      execFileSync('openssl', [...args, ...files], { cwd: folder, stdio: 'ignore' });
      const cert = readFileSync(join(folder, 'cert.pem'), 'utf8');
      await listen({ tls: { cert, key: readFileSync(join(folder, 'key.pem'), 'utf8') } });
    } finally {
      rmSync(folder, { recursive: true });
    }
    expect(simulator.url).toMatch(/^wss:\/\/127\.0\.0\.1:\d+\/v1\/realtime$/);
    const options = { rejectUnauthorized: false, headers: { authorization: 'Bearer k' } };
    const client = await TestClient.connect(simulator.url, {}, options);
    await client.update({});
  });
});

describe('the simulator', () => {
  it('closes once, however often it is asked, and drops its clients', async () => {
    await listen();
    const client = await TestClient.connect(simulator.url);
    const closing = simulator.close();
    expect(simulator.close()).toBe(closing);
    await closing;
    expect(await client.closed).toMatchObject({ code: 1006 });
    expect(simulator.connections).toEqual([]);
  });

  it('refuses a speedup that is none, and fixtures that are not there', async () => {
    await listen();
    await expect(RealtimeSimulator.listen({ speedup: 0 })).rejects.toThrow(RangeError);
    await expect(RealtimeSimulator.listen({ fixturesDir: '/nowhere' })).rejects.toThrow('/nowhere/manifest.json');
    await expect(RealtimeSimulator.listen({ port: Number(new URL(simulator.url).port) })).rejects.toThrow('EADDRINUSE');
  });
});
