import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AgentProfiles, type RemoteProfilesOptions } from '../../src/backend/profiles/agent-profiles.ts';
import { always, deadUrl, sendAnswer, TestServer } from './support/http-server.ts';
import { MemoryLog } from './support/memory-log.ts';
import { tempDirectory } from './support/temp-directory.ts';

const NEVER = 1e9;
const local = { instructions: 'local', voice: 'cedar', speed: 1.25, tools: [{ type: 'end_call' }] };

let directory: Awaited<ReturnType<typeof tempDirectory>>;
let server: TestServer;
let log: MemoryLog;
let profiles: AgentProfiles | undefined;

beforeEach(async () => {
  directory = await tempDirectory();
  await writeFile(join(directory.path, 'care.json'), JSON.stringify(local));
  server = await TestServer.start(always(200, { data: { systemPrompt: 'remote' } }));
  log = new MemoryLog();
});
afterEach(async () => {
  profiles?.close();
  profiles = undefined;
  await server.close();
  await directory[Symbol.asyncDispose]();
});

async function open(options: Partial<RemoteProfilesOptions> = {}): Promise<AgentProfiles> {
  const remote = { url: server.url, apiKey: 'backend-key', waitMs: 20_000, ...options };
  profiles = await AgentProfiles.open({ directory: directory.path, remote, log: log.logger });
  return profiles;
}

const prompt = async (ref = 'care', tenantId = 'acme') => (await profiles?.get(ref, tenantId))?.instructions;

test('asks for the agent as its tenant, and puts the answer over the local profile', async () => {
  await open({ url: `${server.url}/base/` });
  expect(await profiles?.get('care', 'acme')).toEqual({ ...local, instructions: 'remote' });
  expect(server.received).toHaveLength(1);
  expect(server.received[0]).toMatchObject({
    method: 'GET',
    url: '/base/api/ai/agents/care',
    headers: { 'x-tenant-id': 'acme', 'x-api-key': 'backend-key' },
  });
});

test('what could not be put into a request is not asked', async () => {
  await open();
  expect(await prompt('care', 'a\r\nx-api-key: b')).toBe('local');
  for (const ref of ['..', '.', '']) expect(await prompt(ref)).toBeUndefined();
  expect(server.received).toEqual([]);
});

test('one request is under way for an agent of a tenant', async () => {
  server.answer = ({ headers, url }, response) => {
    sendAnswer(response, 200, { data: { systemPrompt: `${url} ${headers['x-tenant-id']}` } });
  };
  await open();
  const asked = [1, 2, 3].flatMap(() => [prompt('care', 'a'), prompt('care', 'b'), prompt('sales', 'a')]);
  expect(new Set(await Promise.all(asked))).toEqual(
    new Set(['/api/ai/agents/care a', '/api/ai/agents/care b', '/api/ai/agents/sales a']),
  );
  expect(server.received).toHaveLength(3);
});

describe('the cache', () => {
  test('a fresh answer is used as it is', async () => {
    await open({ freshMs: NEVER });
    await prompt();
    server.answer = always(200, { data: { systemPrompt: 'newer' } });
    expect(await prompt()).toBe('remote');
    expect(server.received).toHaveLength(1);
  });

  test('a stale one is used once more while it is renewed', async () => {
    await open({ freshMs: 0 });
    await prompt();
    const held = Promise.withResolvers<void>();
    server.answer = (_received, response) => {
      void held.promise.then(() => sendAnswer(response, 200, { data: { systemPrompt: 'newer' } }));
    };
    // The answer is held back, so nothing here can have waited for it.
    expect(await prompt()).toBe('remote');
    expect(await prompt()).toBe('remote');
    await server.hasReceived(2);
    held.resolve();
    await expect.poll(() => prompt(), { timeout: 20_000 }).toBe('newer');
  });

  test('one that is too old is waited for', async () => {
    await open({ freshMs: 0, staleMs: 0 });
    await prompt();
    server.answer = always(200, { data: { systemPrompt: 'newer' } });
    expect(await prompt()).toBe('newer');
  });

  test('that there is no such agent is remembered too', async () => {
    server.answer = always(404, { error: 'not found' });
    await open({ negativeMs: NEVER });
    expect(await prompt()).toBe('local');
    expect(await prompt()).toBe('local');
    expect(await prompt('sales')).toBeUndefined();
    expect(server.received).toHaveLength(2);
    expect(log.find(/gives no agent profiles/)).toEqual([]);
  });

  test('an agent that was removed is gone', async () => {
    await open({ freshMs: 0, negativeMs: NEVER });
    await prompt('sales');
    server.answer = always(404);
    await prompt('sales');
    await expect.poll(() => prompt('sales'), { timeout: 20_000 }).toBeUndefined();
  });

  test('its size is bounded, and what was used last stays', async () => {
    await open({ freshMs: NEVER, maxEntries: 2 });
    for (const ref of ['a', 'b', 'a', 'c', 'a', 'b']) await prompt(ref);
    expect(server.received.map(({ url }) => url.at(-1))).toEqual(['a', 'b', 'c', 'b']);
  });
});

describe('a backend that fails', () => {
  test('is waited for no longer than set, and by one call only', async () => {
    server.answer = () => {};
    await open({ waitMs: 50, coolDownMs: NEVER });
    expect(await prompt()).toBe('local');
    expect(log.find(/gives no agent profiles/)).toHaveLength(1);
    // With a wait that never ends, these would hang.
    for (let i = 0; i < 10; i++) {
      expect(await prompt()).toBe('local');
      expect(await prompt('sales')).toBeUndefined();
    }
    expect(server.received).toHaveLength(1);
    expect(log.find(/gives no agent profiles/)).toHaveLength(1);
  });

  test.each([502, 503, 429])('with status %d is left alone for a while', async (status) => {
    server.answer = always(status);
    await open({ coolDownMs: NEVER });
    expect(await prompt('care')).toBe('local');
    expect(await prompt('sales')).toBeUndefined();
    expect(server.received).toHaveLength(1);
  });

  test('is asked again in the background until it answers', async () => {
    server.answer = always(503);
    await open({ coolDownMs: 5, freshMs: NEVER });
    expect(await prompt('sales')).toBeUndefined();
    await server.hasReceived(4);
    server.answer = always(200, { data: { systemPrompt: 'back' } });
    await log.has(/again/);
    expect(await prompt('sales')).toBe('back');
  });

  test('keeps its earlier answers in use', async () => {
    await open({ freshMs: 0, coolDownMs: NEVER });
    expect(await prompt()).toBe('remote');
    server.answer = (_received, response) => response.socket?.destroy();
    expect(await prompt()).toBe('remote');
    await log.has(/gives no agent profiles/);
    expect(await prompt()).toBe('remote');
    expect(server.received).toHaveLength(2);
  });

  test('that is not there at all leaves the local profiles', async () => {
    await open({ url: await deadUrl(), coolDownMs: NEVER });
    expect(await prompt()).toBe('local');
    expect(log.lines.at(-1)).toMatchObject({ problem: 'ECONNREFUSED' });
  });

  test('over one agent does not keep others from being asked', async () => {
    server.answer = ({ url }, response) => {
      if (url.endsWith('broken')) sendAnswer(response, 500, 'oops');
      else sendAnswer(response, 200, { data: { systemPrompt: 'remote' } });
    };
    await open({ negativeMs: NEVER });
    expect(await prompt('broken')).toBeUndefined();
    expect(await prompt('sales')).toBe('remote');
    expect(await prompt('broken')).toBeUndefined();
    expect(server.received).toHaveLength(2);
  });

  test('a caller that leaves does not wait, and takes no one along', async () => {
    const held = Promise.withResolvers<void>();
    server.answer = (_received, response) => {
      void held.promise.then(() => sendAnswer(response, 200, { data: { systemPrompt: 'remote' } }));
    };
    const agents = await open();
    const leaving = new AbortController();
    const left = agents.get('care', 'acme', leaving.signal);
    const stayed = prompt();
    await server.hasReceived(1);
    leaving.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    held.resolve();
    expect(await stayed).toBe('remote');
    expect(server.received).toHaveLength(1);
  });
});

describe('answers that cannot be used', () => {
  test.each([
    ['not JSON', always(200, 'hello')],
    ['without data', always(200, { systemPrompt: 'x' })],
    ['a refusal', always(403, {})],
    ['a redirect', always(302, '', { location: '/elsewhere' })],
  ])('%s: the local profile, a warning, and no more of it for a while', async (_name, answer) => {
    server.answer = answer;
    await open({ negativeMs: NEVER });
    expect(await prompt()).toBe('local');
    expect(await prompt()).toBe('local');
    expect(server.received).toHaveLength(1);
    expect(log.find(/cannot be used/)).toHaveLength(1);
    expect(log.find(/gives no agent profiles/)).toEqual([]);
  });

  test('an earlier answer stays in use', async () => {
    await open({ freshMs: 0, negativeMs: NEVER });
    await prompt();
    server.answer = always(200, '{');
    await prompt();
    await log.has(/cannot be used/);
    expect(await prompt()).toBe('remote');
  });

  test('an agent without a prompt is no agent', async () => {
    server.answer = always(200, { data: { systemPrompt: ' ', language: 'it' } });
    await open({ freshMs: NEVER });
    expect(await profiles?.get('sales', 'acme')).toBeUndefined();
    expect(await profiles?.get('care', 'acme')).toMatchObject({ instructions: 'local', language: 'it' });
    expect(log.find(/it is not used/)).toHaveLength(1);
  });
});

test('understands compressed answers; one that cannot be decoded changes nothing and is told', async () => {
  const body = gzipSync(JSON.stringify({ data: { systemPrompt: 'compressed' } }));
  server.answer = (_received, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(body);
  await open({ freshMs: 0, negativeMs: 0 });
  expect(await prompt()).toBe('compressed');
  server.answer = (_received, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('not at all');
  await expect
    .poll(async () => [await prompt(), log.text])
    .toEqual(['compressed', expect.stringContaining('not gzip')]);
  expect(await prompt('other')).toBeUndefined();
});
