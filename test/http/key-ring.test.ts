import { createHash } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KeyRing, type KeyRingOptions } from '../../src/http/key-ring.ts';

const sha256 = (key: string) => createHash('sha256').update(key).digest('hex');
const entry = (name: string, key: string, tenantId: string) => ({ name, sha256: sha256(key), tenantId });

describe('KeyRing', () => {
  let folder: string;
  let keysFile: string;
  const rings: KeyRing[] = [];
  const ring = (options: KeyRingOptions) => {
    const made = new KeyRing(options);
    rings.push(made);
    return made;
  };
  const write = (content: unknown) =>
    writeFileSync(keysFile, typeof content === 'string' ? content : JSON.stringify(content));

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'key-ring-'));
    keysFile = join(folder, 'keys.json');
  });
  afterEach(() => {
    for (const one of rings.splice(0)) one.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is open only when nothing is configured', () => {
    write([]);
    expect(ring({}).isOpen).toBe(true);
    expect(ring({ operatorKey: 'k' }).isOpen).toBe(false);
    expect(ring({ keysFile }).isOpen).toBe(false);
  });

  it("knows the operator's key and nothing like it", () => {
    const keys = ring({ operatorKey: 'correct horse' });
    expect(keys.find('correct horse')).toMatchObject({ name: 'operator', tenantId: undefined });
    for (const wrong of ['', 'correct', 'correct horse ', 'Correct horse', 'correct horsf', sha256('correct horse')]) {
      expect(keys.find(wrong), JSON.stringify(wrong)).toBeUndefined();
    }
  });

  it("knows a tenant's key by its hash, in either case", () => {
    write([
      entry('acme', 'acme-key', 't1'),
      { ...entry('beta', 'beta-key', 't2'), sha256: sha256('beta-key').toUpperCase() },
    ]);
    const keys = ring({ keysFile });
    expect(keys.tenantKeyCount).toBe(2);
    expect(keys.find('acme-key')).toMatchObject({ name: 'acme', tenantId: 't1' });
    expect(keys.find('beta-key')).toMatchObject({ name: 'beta', tenantId: 't2' });
    expect(keys.find(sha256('acme-key'))).toBeUndefined();
  });

  it('takes keys beyond ASCII as the bytes that were sent', () => {
    const sent = Buffer.from('clé-🔑').toString('latin1');
    expect(ring({ operatorKey: 'clé-🔑' }).find(sent)?.name).toBe('operator');
    write([entry('acme', 'clé-🔑', 't1')]);
    expect(ring({ keysFile }).find(sent)?.name).toBe('acme');
  });

  it.each([
    ['not json', /cannot be read as JSON/],
    [
      { acme: 'x' },
      /its content must be array: it must be a list of \{name, sha256, tenantId, may\?, budgetPerDay\?\}/,
    ],
    [[{ name: 'acme', tenantId: 't' }], /entry 0 must have required properties sha256/],
    [[entry('acme', 'x', 't1'), { name: 'b', sha256: 'abc', tenantId: 't' }], /entry 1\.sha256/],
    [[entry('acme', 'x', 'a tenant')], /entry 0\.tenantId/],
    [[entry('acme', 'x', 't1'), entry('beta', 'x', 't2')], /the entries "acme" and "beta" are the same key/],
    [[entry('acme', 'the operator', 't1')], /the entry "acme" is the operator's key/],
  ])('refuses a bad file: %j', (content, message) => {
    write(content);
    const make = () => ring({ keysFile, operatorKey: 'the operator' });
    expect(make).toThrow(message);
    expect(make).toThrow(`API_KEYS_FILE is "${keysFile}", but `);
  });

  it('refuses a file that is not there', () => {
    expect(() => ring({ keysFile: join(folder, 'none.json') })).toThrow(/ENOENT/);
  });

  /** A ring that is looked at often, and a way to await what it says of its next reload. */
  function reloading() {
    let next = Promise.withResolvers<{ problem: Error | undefined; keyCount: number }>();
    const keys = ring({
      keysFile,
      reloadIntervalMs: 20,
      onReload: (problem, keyCount) => {
        next.resolve({ problem, keyCount });
        next = Promise.withResolvers();
      },
    });
    return { keys, reloaded: () => next.promise };
  }

  it('reads the file again when it changes', async () => {
    write([entry('acme', 'old', 't1')]);
    const { keys, reloaded } = reloading();
    const connection = {};
    expect(keys.find('old', connection)?.name).toBe('acme');
    expect(keys.find('old', connection)?.name).toBe('acme');
    expect(keys.find('odd', connection)).toBeUndefined();
    const change = reloaded();
    write([entry('acme', 'new', 't1'), entry('beta', 'other', 't2')]);
    expect(await change).toEqual({ problem: undefined, keyCount: 2 });
    expect(keys.find('old')).toBeUndefined();
    expect(keys.find('old', connection)).toBeUndefined();
    expect(keys.find('new')?.tenantId).toBe('t1');
  });

  it('reads a file that was replaced by another', async () => {
    write([entry('acme', 'old', 't1')]);
    const { keys, reloaded } = reloading();
    const change = reloaded();
    writeFileSync(`${keysFile}.new`, JSON.stringify([entry('acme', 'a longer new key', 't1')]));
    renameSync(`${keysFile}.new`, keysFile);
    await change;
    expect(keys.find('a longer new key')?.name).toBe('acme');
  });

  it('keeps the old keys when the new ones are bad, and takes good ones afterwards', async () => {
    write([entry('acme', 'old', 't1')]);
    const { keys, reloaded } = reloading();
    let change = reloaded();
    write('[{"name": ');
    expect((await change).problem?.message).toContain('cannot be read as JSON');
    expect(keys.find('old')?.name).toBe('acme');
    change = reloaded();
    unlinkSync(keysFile);
    expect((await change).problem?.message).toContain('ENOENT');
    expect(keys.find('old')?.name).toBe('acme');
    change = reloaded();
    write([entry('acme', 'newer', 't1')]);
    expect((await change).problem).toBeUndefined();
    expect(keys.find('old')).toBeUndefined();
    expect(keys.find('newer')?.name).toBe('acme');
  });
});
