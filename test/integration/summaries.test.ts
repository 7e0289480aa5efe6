import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { TestCall } from '../support/call.ts';
import { type DaemonProcess, startDaemonProcess } from '../support/daemon-process.ts';

interface Received {
  readonly headers: IncomingHttpHeaders;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the gateway sent
  readonly body: any;
}

/** A W3 backend that takes summaries, or leaves the gateway without an answer. */
class Backend {
  readonly received: Received[] = [];
  answers = true;
  readonly #server: Server;
  readonly #open = new Set<ServerResponse>();
  #onReceived: (() => void)[] = [];

  constructor() {
    this.#server = createServer((request, response) => {
      if (!request.url?.startsWith('/api/voip/ai-sessions')) {
        response.writeHead(404).end();
        return;
      }
      const parts: Buffer[] = [];
      request.on('data', (part) => parts.push(part));
      request.on('end', () => {
        this.received.push({ headers: request.headers, body: JSON.parse(Buffer.concat(parts).toString('utf8')) });
        if (this.answers) response.writeHead(201).end('{}');
        else this.#open.add(response);
        for (const wake of this.#onReceived.splice(0)) wake();
      });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async waitFor(count: number): Promise<void> {
    while (this.received.length < count) await new Promise<void>((resolve) => this.#onReceived.push(resolve));
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

let folder: string;
let backend: Backend;
let daemon: DaemonProcess | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'voice-gateway-'));
  backend = new Backend();
});

afterEach(async () => {
  await daemon?.end('SIGKILL');
  backend.close();
  rmSync(folder, { recursive: true, force: true });
});

it('hands the summary over after a kill between the end of a call and the answer, under the same key', async () => {
  backend.answers = false;
  const env = { DATA_DIR: join(folder, 'data'), W3_API_URL: await backend.listen(), W3_API_KEY: 'w3-key-for-tests' };
  daemon = await startDaemonProcess(env);
  const call = new TestCall(daemon.url, 'killed-call');
  await call.create({
    tenantId: 'tenant-1',
    storeId: 'store-1',
    did: '5406594427',
    callerNumber: '393297626144',
  });
  await call.pollUntil(({ lines }) => lines.length > 0);
  expect((await call.end()).status).toBe(200);
  await backend.waitFor(1);
  await daemon.end('SIGKILL');

  backend.answers = true;
  daemon = await startDaemonProcess(env);
  await backend.waitFor(2);
  const [first, second] = backend.received;
  expect(second!.headers['idempotency-key']).toBe(first!.headers['idempotency-key']);
  expect(second!.headers).toMatchObject({ 'x-tenant-id': 'tenant-1', 'x-api-key': 'w3-key-for-tests' });
  expect(second!.body).toEqual(first!.body);
  expect(second!.body).toEqual({
    callId: 'killed-call',
    sessionId: first!.headers['idempotency-key'],
    aiAgentRef: 'customer-care-voice',
    storeId: 'store-1',
    callerNumber: '393297626144',
    didNumber: '5406594427',
    startTs: expect.any(String),
    endTs: expect.any(String),
    durationSeconds: expect.any(Number),
    transcript: ['[AI]: Good morning, this is customer care. How can I help you?'],
    actionsTaken: [],
    transferredTo: null,
    transferReason: null,
    usage: expect.objectContaining({ model: 'gpt-realtime-2.1', currency: 'USD' }),
  });
  expect(await daemon.end('SIGTERM')).toBe(0);
  expect(statSync(join(folder, 'data')).mode & 0o077).toBe(0);
  daemon = await startDaemonProcess(env);
  expect(await daemon.end('SIGTERM')).toBe(0);
  expect(backend.received).toHaveLength(2);
});

it('ends running calls with summaries when it is told to stop', async () => {
  const env = {
    DATA_DIR: join(folder, 'data'),
    W3_API_URL: await backend.listen(),
    W3_API_KEY: 'w3-key-for-tests',
    SHUTDOWN_GRACE_MS: '300',
  };
  daemon = await startDaemonProcess(env);
  const call = new TestCall(daemon.url, 'running-call');
  await call.create();
  expect(await daemon.end('SIGTERM')).toBe(0);
  await backend.waitFor(1);
  expect(backend.received[0]!.body).toMatchObject({ callId: 'running-call' });
});
