import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { startDaemon } from '../../src/main/daemon.ts';
import { RealtimeSimulator } from '../../src/simulator/server.ts';
import { Store } from '../../src/store/store.ts';
import { http, TestCall } from '../support/call.ts';
import { selfSignedCertificate } from '../support/certificate.ts';
import { startDaemonProcess } from '../support/daemon-process.ts';
import { QUIET_PROFILE, startGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts';

const CHUNK = Buffer.alloc(3200, 1);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

let gateway: TestGateway | undefined;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'operations-'));
});
afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
  rmSync(folder, { recursive: true, force: true });
});

async function start(options: TestGatewayOptions = {}): Promise<TestGateway> {
  gateway = await startGateway({
    simulator: { mode: 'loopback' },
    profiles: { quiet: QUIET_PROFILE },
    ...options,
    env: { SESSION_WORKERS: '1', DEFAULT_AGENT_REF: 'quiet', ...options.env },
  });
  return gateway;
}

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe('draining', () => {
  it('turns new calls away first, lets those that run finish, and then stops', async () => {
    const { url, daemon } = await start();
    const call = new TestCall(url, 'running');
    await call.create();
    await call.send(CHUNK);
    const stopping = daemon.stop(60_000);

    const ready = await http('GET', `${url}/ready`);
    expect(ready.status).toBe(503);
    expect(ready.body).toEqual({ ready: false, reason: 'the gateway is shutting down: send the call elsewhere' });
    expect((await http('GET', `${url}/health`)).body).toMatchObject({ status: 'draining', sessions: 1 });

    const refused = await new TestCall(url, 'new').create();
    expect(refused.status).toBe(503);
    expect(refused.headers['retry-after']).toMatch(/^\d+$/);
    expect(refused.body).toMatchObject({ code: 'draining' });

    // The running call does not notice.
    expect((await call.create()).body.status).toBe('existing');
    expect((await call.send(CHUNK)).body.status).toBe('streamed');
    await call.pollUntil(() => call.heard.length > 0);
    expect((await call.end()).body.summary.endReason).toBe('completed');
    await stopping;
    await expect(http('GET', `${url}/health`)).rejects.toThrow();
  });

  it('ends what still runs when its time is over, and tells whoever waits', async () => {
    const { url, daemon } = await start();
    const call = new TestCall(url, 'long');
    await call.create();
    const waiting = call.poll('timeout=30000');
    await expect.poll(async () => (await call.info()).status).toBe(200);
    await daemon.stop(100);
    expect((await waiting).body).toMatchObject({ hasMore: false, endReason: 'shutdown' });
  });

  it('gives the last call its summary before it goes', async () => {
    for (let round = 0; round < 5; round++) {
      const { url, daemon, stop } = await start();
      const calls = Array.from({ length: 5 }, (_, i) => new TestCall(url, `last-${i}`));
      await Promise.all(calls.map((call) => call.create()));
      const stopped = daemon.stop(60_000);
      const polls = calls.map((call) => call.poll('timeout=30000'));
      await expect.poll(async () => (await calls[0]!.info()).status).toBe(200);
      for (const { status, body } of await Promise.all(calls.map((call) => call.end()))) {
        expect(status).toBe(200);
        expect(body.summary.endReason).toBe('completed');
      }
      for (const { body } of await Promise.all(polls)) expect(body).toMatchObject({ hasMore: false });
      await stopped;
      await stop();
    }
  });

  it('begins with a SIGTERM, and ends with exit code 0', async () => {
    const daemon = await startDaemonProcess({ DATA_DIR: join(folder, 'data'), LOG_LEVEL: 'info' });
    const call = new TestCall(daemon.url, 'running');
    expect((await call.create()).status).toBe(200);
    const ended = daemon.end('SIGTERM');
    await expect.poll(async () => (await http('GET', `${daemon.url}/ready`)).status).toBe(503);
    expect((await new TestCall(daemon.url, 'new').create()).body.code).toBe('draining');
    expect((await call.end()).status).toBe(200);
    expect(await ended).toBe(0);
  }, 60_000);

  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'] as const;
  it.each(signals)(
    'ends running calls when told again by %s, and keeps summaries',
    async (signal) => {
      const env = { DATA_DIR: join(folder, 'data'), LOG_LEVEL: 'info', SHUTDOWN_GRACE_MS: '600000' };
      const daemon = await startDaemonProcess(env);
      expect((await new TestCall(daemon.url, 'running').create()).status).toBe(200);
      const ended = daemon.end('SIGTERM');
      // A signal that comes along with the first is the same one, as npm passes it on.
      await expect.poll(() => daemon.lines.some((line) => line.includes('"stopping')), { timeout: 20_000 }).toBe(true);
      const again = setInterval(() => daemon.child.kill(signal), 100);
      expect(await ended).toBe(0);
      clearInterval(again);
      const lines = daemon.lines.map((line) => JSON.parse(line));
      const atMs = (text: string) => lines.find(({ msg }) => msg.startsWith(text)).time as number;
      expect(atMs('told to stop again') - atMs('stopping')).toBeGreaterThanOrEqual(1000);
      expect(lines.find(({ msg }) => msg === 'call ended')).toMatchObject({ callId: 'running', endReason: 'shutdown' });
      const store = Store.open({ directory: join(folder, 'data'), retentionDays: 30, note: () => {} });
      expect(store.find(undefined, 'running', 'masked')).toMatchObject([{ outcome: 'shutdown' }]);
      store.close();
    },
    60_000,
  );
});

describe('a start that cannot be', () => {
  /** Why a daemon with this environment does not start. */
  async function failure(env: Record<string, string>): Promise<string> {
    const config = readConfig({
      PORT: '0',
      OPENAI_REALTIME_URL: 'ws://127.0.0.1:1',
      AGENTS_DIR: join(ROOT, 'agents'),
      DATA_DIR: join(folder, 'data'),
      SPARE_SESSION_WORKERS: '0',
      ...env,
    });
    const error = await startDaemon(config, pino({ level: 'silent' })).then(
      (daemon) => daemon.stop().then(() => new Error('it started')),
      (cause: Error) => cause,
    );
    return error.message;
  }

  it('says which address is taken', async () => {
    const { port } = new URL((await start()).url);
    expect(await failure({ PORT: port })).toMatch(
      `HOST is "127.0.0.1" and PORT is ${port}, but nobody can listen there: listen EADDRINUSE`,
    );
  });

  it('says which folder cannot be written, or is in use', async () => {
    const notAFolder = file('not-a-folder', '');
    expect(await failure({ DATA_DIR: notAFolder })).toMatch(
      `DATA_DIR is "${notAFolder}", but calls cannot be kept there: `,
    );
    const { folder: used } = await start();
    expect(await failure({ DATA_DIR: join(used, 'data') })).toMatch('DATA_DIR is used by another daemon');
    // What was begun is given back: the folder is free for the next start.
    expect(await failure({ DATA_DIR: join(folder, 'data') })).toBe('it started');
  });
});

describe('overload', () => {
  it('sheds new calls with 503 and Retry-After, and no chunk of a running one', async () => {
    const load = { eventLoopMs: 0, poolQueue: 0, rssMb: 100 };
    const { url } = await start({
      env: { OVERLOAD_RSS_MB: '1000', OVERLOAD_EVENT_LOOP_MS: '100', OVERLOAD_POOL_QUEUE: '100' },
      overrides: {
        load: { eventLoopMs: () => load.eventLoopMs, poolQueue: () => load.poolQueue, rssMb: () => load.rssMb },
      },
    });
    const call = new TestCall(url, 'running');
    await call.create();
    for (const [name, value, reason] of [
      ['rssMb', 2000, 'it uses 2000 MB of memory, its limit is 1000'],
      ['eventLoopMs', 400, /its event loop is \d+ ms late, its limit is 100/],
      ['poolQueue', 300, '300 audio jobs wait, its limit is 100'],
    ] as const) {
      const before = load[name];
      load[name] = value;
      await expect.poll(async () => (await http('GET', `${url}/ready`)).status, { timeout: 10_000 }).toBe(503);
      // Until the mean of a second is as high as it gets.
      await expect
        .poll(async () => (await http('GET', `${url}/ready`)).body.reason, { timeout: 10_000 })
        .toMatch(typeof reason === 'string' ? new RegExp(reason) : reason);
      const refused = await new TestCall(url, `new-${name}`).create();
      expect(refused.status).toBe(503);
      expect(refused.headers['retry-after']).toMatch(/^\d+$/);
      expect(refused.body.code).toBe('overloaded');
      expect(refused.body.error).toMatch(/^the gateway is overloaded: /);
      expect((await call.send(CHUNK)).body.status).toBe('streamed');
      expect((await call.poll('timeout=0')).status).toBe(200);
      expect((await call.create()).body.status).toBe('existing');
      load[name] = before;
      await expect.poll(async () => (await http('GET', `${url}/ready`)).status, { timeout: 10_000 }).toBe(200);
    }
    expect((await new TestCall(url, 'after').create()).status).toBe(200);
    const metrics = (await http('GET', `${url}/metrics`)).body;
    expect(metrics).toContain('voice_gateway_sessions_total{outcome="overloaded"} 3');
  });
});

describe('connections', () => {
  it('stay open between requests, longer than the longest poll', async () => {
    const { url } = await start();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number>();
    try {
      for (let i = 0; i < 5; i++) {
        const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
          const request = httpRequest(`${url}/health`, { agent }, (answer) => {
            ports.add(answer.socket.localPort!);
            answer.resume().on('end', () => resolve(answer.headers));
          });
          request.on('error', reject).end();
        });
        expect(headers).toMatchObject({ connection: 'keep-alive', 'keep-alive': 'timeout=72' });
      }
      expect(ports.size).toBe(1);
    } finally {
      agent.destroy();
    }
  });

  it('may be closed by a client while its chunk is under way', async () => {
    const { url } = await start();
    const call = new TestCall(url, 'hasty');
    await call.create();
    const body = JSON.stringify({ audio: CHUNK.toString('base64') });
    for (let i = 0; i < 20; i++) {
      await new Promise<void>((resolve) => {
        const socket = connect(Number(new URL(url).port), '127.0.0.1');
        socket.on('close', () => resolve());
        socket.on('error', () => {});
        socket.write(
          `POST /api/voice/stream/hasty HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
          () => socket.destroy(),
        );
      });
    }
    expect((await call.send(CHUNK)).body.status).toBe('streamed');
  });
});

describe('TLS', () => {
  it('is spoken with a certificate and its key', async () => {
    const { cert, key } = selfSignedCertificate();
    const { url } = await start({
      env: { TLS_CERT_FILE: file('cert.pem', cert), TLS_KEY_FILE: file('key.pem', key) },
    });
    expect(url).toMatch(/^https:/);
    const answer = await new Promise<{ status: number; text: string }>((resolve, reject) => {
      const request = httpsRequest(`${url}/health`, { ca: cert, servername: 'localhost' }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (data) => {
          text += data;
        });
        response.on('end', () => resolve({ status: response.statusCode!, text }));
      });
      request.on('error', reject).end();
    });
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text)).toMatchObject({ status: 'ok' });
    await expect(http('GET', url.replace('https', 'http'))).rejects.toThrow();
  });
});

describe('TRUST_PROXY', () => {
  it.each([
    [undefined, '127.0.0.1'],
    ['127.0.0.1', '203.0.113.9'],
    ['10.0.0.0/8', '127.0.0.1'],
    ['true', '203.0.113.9'],
  ])('%s makes the address of a refused client %s', async (trust, expected) => {
    const lines: string[] = [];
    const sink = new Writable({
      write(chunk, _encoding, done) {
        lines.push(String(chunk));
        done();
      },
    });
    const simulator = await RealtimeSimulator.listen({});
    const config = readConfig({
      PORT: '0',
      OPENAI_REALTIME_URL: simulator.url,
      AGENTS_DIR: join(ROOT, 'agents'),
      DATA_DIR: join(folder, 'data'),
      W3_VOICE_GATEWAY_API_KEY: 'the key',
      SPARE_SESSION_WORKERS: '0',
      ...(trust === undefined ? {} : { TRUST_PROXY: trust }),
    });
    const daemon = await startDaemon(config, pino({ level: 'info' }, sink));
    try {
      const headers = { 'x-forwarded-for': '203.0.113.9', 'x-api-key': 'wrong' };
      expect((await http('GET', `${daemon.url}/api/voice/sessions`, undefined, headers)).status).toBe(403);
      const refused = lines.map((line) => JSON.parse(line)).find(({ msg }) => msg === 'access refused');
      expect(refused).toMatchObject({ clientAddress: expected, code: 'forbidden', url: '/api/voice/sessions' });
      expect(lines.join()).not.toContain('"wrong"');
    } finally {
      await daemon.stop();
      await simulator.close();
    }
  });
});

describe('--check', () => {
  /** Runs the command with an environment of its own. */
  function check(env: Record<string, string>): Promise<{ code: number; out: string; err: string }> {
    return new Promise((resolve) => {
      execFile(
        process.execPath,
        [join(ROOT, 'src/main/cli.ts'), '--check'],
        { cwd: ROOT, env: { PATH: process.env['PATH'] ?? '', DATA_DIR: join(folder, 'data'), ...env } },
        (error, out, err) => resolve({ code: error ? Number(error.code) : 0, out, err }),
      );
    });
  }

  it('warns of models whose end is announced, and refuses what the default model does not understand', async () => {
    const agents = join(folder, 'agents');
    mkdirSync(agents);
    const profile = { instructions: 'Answer.', model: 'gpt-realtime', transcription: { model: 'whisper-1' } };
    writeFileSync(join(agents, 'old.json'), JSON.stringify(profile));
    const env = { AGENTS_DIR: agents, DEFAULT_AGENT_REF: 'old', OPENAI_REALTIME_MODEL: 'gpt-realtime-1.5' };
    const { code, err } = await check(env);
    expect(code).toBe(0);
    expect(err.trimEnd().split('\n')).toEqual([
      'warning: agent profile old: gpt-realtime ends on 2027-01-20; use gpt-realtime-2.1',
      'warning: agent profile old: whisper-1 ends on 2027-02-26; use gpt-transcribe',
    ]);
    writeFileSync(join(agents, 'old.json'), JSON.stringify({ instructions: 'Answer.', reasoning: { effort: 'low' } }));
    const refused = await check(env);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain('agent profile old: reasoning is not for the model gpt-realtime-1.5');
  });

  it('says what is set up and ends with 0', async () => {
    const { cert, key } = selfSignedCertificate();
    const hash = 'a'.repeat(64);
    const { code, out, err } = await check({
      TLS_CERT_FILE: file('cert.pem', cert),
      TLS_KEY_FILE: file('key.pem', key),
      API_KEYS_FILE: file('keys.json', JSON.stringify([{ name: 'acme', sha256: hash, tenantId: 'acme' }])),
      W3_VOICE_GATEWAY_API_KEY: 'a secret nobody may see',
    });
    expect(err).toBe('');
    expect(code).toBe(0);
    expect(out.split('\n')).toEqual([
      'the configuration is good',
      expect.stringMatching(/^ {2}prices: those that ship, of \d{4}-\d\d-\d\d, in USD$/),
      '  agent profiles: customer-care-voice',
      '  keys: the operator, tenants: 1',
      '  TLS: on',
      `  store of calls: ${join(folder, 'data')}`,
      '  address: 127.0.0.1:3105',
      '  upstream: the embedded simulator',
      '',
    ]);
  });

  it('says everything that is wrong with the files and ends with 2', async () => {
    const agents = join(folder, 'agents');
    mkdirSync(agents);
    writeFileSync(join(agents, 'broken.json'), '{"instructions": 5}');
    writeFileSync(join(agents, 'worse.json'), '{');
    const { cert } = selfSignedCertificate();
    const { code, out, err } = await check({
      AGENTS_DIR: agents,
      TLS_CERT_FILE: file('cert.pem', cert),
      TLS_KEY_FILE: file('key.pem', selfSignedCertificate().key),
      API_KEYS_FILE: file('keys.json', '[{"name":"acme"}]'),
      DATA_DIR: file('a-file', ''),
    });
    expect(code).toBe(2);
    expect(out).toBe('');
    const sentences = err.trim().split('\n');
    expect(sentences).toHaveLength(5);
    expect(sentences[0]).toMatch(/broken\.json/);
    expect(sentences[1]).toMatch(/worse\.json/);
    expect(sentences[2]).toMatch(/^API_KEYS_FILE is ".*keys\.json", but entry 0 /);
    expect(sentences[3]).toMatch(/^TLS_CERT_FILE is ".*" and TLS_KEY_FILE is ".*", but together they cannot be used: /);
    expect(sentences[4]).toMatch(/^DATA_DIR is ".*a-file", but it cannot be written: /);
  });

  it('says which variables are wrong, before it looks at files', async () => {
    const { code, err } = await check({ PORT: 'x', HOST: '0.0.0.0', AGENTS_DIR: '/nowhere' });
    expect(code).toBe(2);
    expect(err).toBe('PORT is "x", but must be a whole number from 0 to 65535\n');
  });

  it('misses the default agent and files that are not there', async () => {
    const { code, err } = await check({
      DEFAULT_AGENT_REF: 'nobody',
      TLS_CERT_FILE: '/nowhere/cert.pem',
      TLS_KEY_FILE: '/nowhere/key.pem',
    });
    expect(code).toBe(2);
    expect(err.split('\n').slice(0, 2)).toEqual([
      'DEFAULT_AGENT_REF is "nobody", but "./agents" has no such profile',
      expect.stringMatching(/^TLS_CERT_FILE is "\/nowhere\/cert\.pem", but it cannot be read: ENOENT/),
    ]);
  });
});
