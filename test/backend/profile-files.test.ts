import { mkdir, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AgentProfiles } from '../../src/backend/profiles/agent-profiles.ts';
import { MemoryLog } from './support/memory-log.ts';
import { tempDirectory } from './support/temp-directory.ts';

let directory: Awaited<ReturnType<typeof tempDirectory>>;
let log: MemoryLog;
let profiles: AgentProfiles | undefined;

beforeEach(async () => {
  directory = await tempDirectory();
  log = new MemoryLog();
});
afterEach(async () => {
  profiles?.close();
  profiles = undefined;
  await directory[Symbol.asyncDispose]();
});

const path = (name: string) => join(directory.path, name);
/** Whole or not at all, as editors write: a half-written file is a bad one. */
const put = async (name: string, content: unknown) => {
  await writeFile(path(`${name}.new`), typeof content === 'string' ? content : JSON.stringify(content));
  await rename(path(`${name}.new`), path(name));
};
const open = () => AgentProfiles.open({ directory: directory.path, log: log.logger, pollIntervalMs: 5 });
const instructions = async (ref: string) => (await profiles?.get(ref, 'acme'))?.instructions;

describe('at the start', () => {
  test('every file is an agent of its name', async () => {
    await put('care.json', { instructions: 'Help.' });
    await put('it.sales-2.json', '\uFEFF{"instructions": "Sell."}');
    await put('notes.txt', 'not a profile');
    await put('.hidden.json', 'not a profile either');
    await mkdir(path('folder.json'));
    profiles = await open();
    expect(profiles.localRefs.sort()).toEqual(['care', 'it.sales-2']);
    expect(await instructions('it.sales-2')).toBe('Sell.');
    expect(await instructions('other')).toBeUndefined();
  });

  test('names that lead out of the directory are nobody', async () => {
    await mkdir(path('agents'));
    await put('secret.json', { instructions: 'Secret.' });
    profiles = await AgentProfiles.open({ directory: path('agents'), log: log.logger });
    for (const ref of ['../secret', '..%2fsecret', path('secret'), '__proto__', 'constructor', '']) {
      expect(await profiles.get(ref, 'acme')).toBeUndefined();
    }
  });

  test.each([
    ['not JSON', '{"instructions": ', /^agent profile .*care\.json: is not JSON/],
    ['a wrong field', { instructions: 'x', speed: 9 }, /^agent profile .*care\.json: speed must be <= 1\.5$/],
    ['a missing filler', { instructions: 'x', filler: 'hold.wav' }, /care\.json: filler is "hold\.wav", but .*ENOENT/],
    ['a filler that is no WAV', { instructions: 'x', filler: 'care.json' }, /care\.json: filler .* not a WAV file/],
  ])('%s stops it, naming file and field', async (_name, content, message) => {
    await put('care.json', content);
    await expect(open()).rejects.toThrow(message);
  });

  test('several bad files are named together', async () => {
    await put('a.json', {});
    await put('b c.json', { instructions: 'x' });
    await put('good.json', { instructions: 'x' });
    await expect(open()).rejects.toThrow(/a\.json: .*instructions.*\n.*b c\.json: "b c" cannot be an aiAgentRef/);
  });

  test('a variable that is not set stops it', async () => {
    const tool = { type: 'webhook', name: 't', description: '', parameters: {}, url: 'http://shop.example/' };
    const headers = { authorization: '${'.concat('WEBHOOK_NOT_SET_ANYWHERE}') };
    await put('care.json', { instructions: 'x', webhookHosts: ['shop.example'], tools: [{ ...tool, headers }] });
    await expect(open()).rejects.toThrow(/tools\.t headers name .*WEBHOOK_NOT_SET_ANYWHERE.* not set/);
  });

  test('a directory that is not there stops it', async () => {
    const missing = path('missing');
    await expect(AgentProfiles.open({ directory: missing, log: log.logger })).rejects.toThrow(
      /AGENTS_DIR is ".*missing"/,
    );
  });

  test('the filler is found beside the profile', async () => {
    await put('hold.wav', 'RIFF\u0000\u0000\u0000\u0000WAVEfmt ');
    await put('care.json', { instructions: 'x', filler: 'hold.wav' });
    profiles = await open();
    expect(await profiles.get('care', 'acme')).toMatchObject({ filler: 'hold.wav', fillerFile: path('hold.wav') });
  });

  test('placeholders that nothing fills are pointed out', async () => {
    await put('care.json', { instructions: '{{callerNumber}} {{wether}}', greeting: { say: '{{nam}}' } });
    profiles = await open();
    expect(await log.has(/placeholders/)).toMatchObject({ placeholders: ['wether', 'nam'] });
  });
});

describe('while it runs', () => {
  test('files may change, appear and go', async () => {
    await put('care.json', { instructions: 'one' });
    profiles = await open();
    const before = await profiles.get('care', 'acme');

    await put('next.json', { instructions: 'two' });
    await rename(path('next.json'), path('care.json'));
    expect(await log.has(/loaded/)).toMatchObject({ agent: 'care' });
    expect(await instructions('care')).toBe('two');
    expect(before?.instructions).toBe('one');

    await put('sales.json', { instructions: 'three' });
    await log.has(/loaded/, 2);
    expect(await instructions('sales')).toBe('three');

    await unlink(path('sales.json'));
    expect(await log.has(/removed/)).toMatchObject({ agent: 'sales' });
    expect(await instructions('sales')).toBeUndefined();
    expect(await instructions('care')).toBe('two');
  });

  test('a file that turns bad is refused with its reason, once, and the old one stays', async () => {
    await put('care.json', { instructions: 'one' });
    profiles = await open();
    await put('care.json', { instructions: 'two', speed: 9 });
    const refusal = await log.has(/refused: the profile as it was/);
    expect(JSON.stringify(refusal)).toContain('speed must be <= 1.5');
    expect(await instructions('care')).toBe('one');

    await put('care.json', '{');
    await log.has(/refused: the profile as it was/, 2);
    // Other files are still looked after, so several looks have passed.
    await put('a.json', { instructions: 'a' });
    await log.has(/loaded/);
    await put('b.json', { instructions: 'b' });
    await log.has(/loaded/, 2);
    expect(log.find(/refused/)).toHaveLength(2);

    await put('care.json', { instructions: 'three' });
    await log.has(/loaded/, 3);
    expect(await instructions('care')).toBe('three');
  });

  test('a new file that is bad is nobody until what it lacks is there', async () => {
    profiles = await open();
    await put('care.json', { instructions: 'x', filler: 'hold.wav' });
    await log.has(/refused: there is no such agent/);
    expect(await instructions('care')).toBeUndefined();
    await put('hold.wav', 'RIFF\u0000\u0000\u0000\u0000WAVEfmt ');
    await log.has(/loaded/);
    expect(await instructions('care')).toBe('x');
  });

  test('a directory that goes away takes no profile with it', async () => {
    await mkdir(path('agents'));
    await put('agents/care.json', { instructions: 'one' });
    profiles = await AgentProfiles.open({ directory: path('agents'), log: log.logger, pollIntervalMs: 5 });
    await rename(path('agents'), path('moved'));
    await log.has(/stay as they are/);
    expect(await instructions('care')).toBe('one');
    await rename(path('moved'), path('agents'));
    await put('agents/care.json', { instructions: 'two' });
    await log.has(/loaded/);
    expect(await instructions('care')).toBe('two');
    await rm(path('agents'), { recursive: true });
  });
});
