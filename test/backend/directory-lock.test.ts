import { readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DirectoryLock } from '../../src/backend/summaries/directory-lock.ts';
import { Child } from './support/child.ts';
import { tempDirectory } from './support/temp-directory.ts';

let directory: Awaited<ReturnType<typeof tempDirectory>>;
let path: string;
beforeEach(async () => {
  directory = await tempDirectory();
  path = join(directory.path, 'lock');
});
afterEach(() => directory[Symbol.asyncDispose]());

test('is held by one at a time, and free again after release', async () => {
  const lock = await DirectoryLock.acquire(path);
  await expect(DirectoryLock.acquire(path)).rejects.toMatchObject({ code: 'directory_locked' });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  await lock.release();
  await lock.release();
  expect(await readdir(directory.path)).toEqual([]);
  await (await DirectoryLock.acquire(path)).release();
});

test('another process is told who holds it', async () => {
  const lock = await DirectoryLock.acquire(path);
  const other = new Child('lock-contender.ts', [path]);
  expect(await other.line()).toMatch(new RegExp(`^refused .*process ${process.pid} on .*two cannot share one`));
  await other.end();
  await lock.release();
});

test('the lock of a process that was killed is taken over, by one of many', async () => {
  const killed = new Child('lock-contender.ts', [path]);
  expect(await killed.line()).toBe('held');
  await expect(DirectoryLock.acquire(path)).rejects.toMatchObject({ code: 'directory_locked' });
  await killed.kill();

  const contenders = Array.from({ length: 5 }, () => new Child('lock-contender.ts', [path]));
  const outcomes = await Promise.all(contenders.map((contender) => contender.line()));
  expect(outcomes.map((outcome) => outcome?.split(' ')[0]).sort()).toEqual(['held', ...Array(4).fill('refused')]);
  await Promise.all(contenders.map((contender) => contender.end()));
  await (await DirectoryLock.acquire(path)).release();
});

test('a lock that cannot be written, as on a full disk, is not left behind', async () => {
  const limited = ['bash', '-c', 'trap "" XFSZ; ulimit -f 0; exec "$@"', 'bash'];
  const child = new Child('lock-contender.ts', [path], limited);
  expect(await child.line()).toMatch(/^failed Error: EFBIG/);
  await child.end();
  expect(await readdir(directory.path)).toEqual([]);
  await (await DirectoryLock.acquire(path)).release();
});

test('a process that has the pid of the holder is not the holder', async () => {
  const lock = await DirectoryLock.acquire(path);
  const content = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  await lock.release();
  // As after a container's restart, where the daemon has the same pid each time.
  for (const change of [
    { token: 'other' },
    { token: 'other', boot: 'before' },
    { pid: process.ppid, processStart: '1' },
  ]) {
    await writeFile(path, JSON.stringify({ ...content, ...change }));
    await (await DirectoryLock.acquire(path)).release();
  }
  await writeFile(path, JSON.stringify({ ...content, pid: 2 ** 22 + 1 }));
  await (await DirectoryLock.acquire(path)).release();
});

test.each([
  ['from another machine', JSON.stringify({ pid: 1, host: 'another.example', token: 't' })],
  ['that is not written yet', ''],
])('a lock %s holds while it is touched', async (_name, content) => {
  await writeFile(path, content);
  await expect(DirectoryLock.acquire(path)).rejects.toMatchObject({ code: 'directory_locked' });
  const before = new Date(Date.now() - 120_000);
  await utimes(path, before, before);
  await (await DirectoryLock.acquire(path)).release();
});

test('what someone else put in its place is not removed', async () => {
  const lock = await DirectoryLock.acquire(path);
  await writeFile(path, 'theirs');
  await lock.release();
  expect(await readFile(path, 'utf8')).toBe('theirs');
});
