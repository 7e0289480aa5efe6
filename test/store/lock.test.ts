import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StoreLock } from '../../src/store/lock.ts';
import { Child } from '../backend/support/child.ts';
import { tempDirectory } from '../backend/support/temp-directory.ts';

const SCRIPT = fileURLToPath(new URL('support/contender.ts', import.meta.url));
const NAMESPACE = ['unshare', '--pid', '--fork', '--mount-proc'];
const CAN_UNSHARE = spawnSync(NAMESPACE[0]!, [...NAMESPACE.slice(1), 'true']).status === 0;

let directory: Awaited<ReturnType<typeof tempDirectory>>;
let children: Child[];

beforeEach(async () => {
  directory = await tempDirectory();
  children = [];
});
afterEach(async () => {
  for (const child of children) await child.end();
  await directory[Symbol.asyncDispose]();
});

function contend(atMs: number, wrapper: string[] = []): Child {
  const child = new Child(SCRIPT, [directory.path, String(atMs)], wrapper);
  children.push(child);
  return child;
}

test('of several that start in the same millisecond exactly one holds the directory', async () => {
  const atMs = Date.now() + 2_500;
  const answers = await Promise.all(Array.from({ length: 4 }, () => contend(atMs).line()));
  expect(answers.filter((answer) => answer === 'held')).toHaveLength(1);
  for (const answer of answers) expect(answer).toMatch(/^(held|store_locked DATA_DIR is used by another daemon)/);
});

test.skipIf(!CAN_UNSHARE)('also of two in namespaces of their own, where both are process 1', async () => {
  expect(await contend(0, NAMESPACE).line()).toBe('held');
  expect(await contend(0, NAMESPACE).line()).toMatch(/^store_locked/);
});

test('goes with its process, however that ends', async () => {
  const holder = contend(0);
  expect(await holder.line()).toBe('held');
  expect(() => StoreLock.acquire(`${directory.path}/calls.lock`)).toThrow(/another daemon has it/);
  await holder.kill();
  const lock = StoreLock.acquire(`${directory.path}/calls.lock`);
  lock.release();
  lock.release();
});
