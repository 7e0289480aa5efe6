import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Directory, NodeRecord } from '../../src/cluster/directory.ts';
import { MemoryDirectory } from '../../src/cluster/memory-directory.ts';
import { RedisDirectory } from '../../src/cluster/redis/redis-directory.ts';
import { checkDirectory, violationsOf } from './directory-check.ts';
import { hasRedis, type RedisServer, startRedis } from './support/redis-server.ts';

const LEASE_MS = 60_000;
const KEPT_MS = 600_000;

const nodeNamed = (nodeId: string, run = 1, keyPrint = 'k'): NodeRecord => ({
  instance: `${nodeId}-${run}`,
  nodeId,
  url: `http://${nodeId}`,
  keyPrint,
});
let count = 0;
const newCall = (tenantId = 'acme') => {
  count += 1;
  return { tenantId, callId: `call-${count}` };
};

let redis: RedisServer | undefined;
beforeAll(async () => {
  if (hasRedis) redis = await startRedis();
});
afterAll(() => redis?.close());

describe.each([
  { name: 'in memory', open: async () => new MemoryDirectory() as Directory, isThere: true },
  { name: 'in Redis', open: async () => RedisDirectory.open(redis!.url) as Promise<Directory>, isThere: hasRedis },
])('a directory $name', ({ open, isThere }) => {
  let directory: Directory;
  const a = nodeNamed('a');
  const b = nodeNamed('b');
  beforeAll(async () => {
    if (!isThere) return;
    directory = await open();
    for (const node of [a, b]) expect(await directory.join(node, LEASE_MS)).toMatchObject({ type: 'joined' });
  });
  afterAll(() => directory?.close());
  const test = it.runIf(isThere);

  test('gives a call to one node, and tells every other who has it', async () => {
    const call = newCall();
    const claimed = await directory.claim(call, a.instance, undefined, KEPT_MS);
    expect(claimed.type).toBe('claimed');
    expect(await directory.claim(call, a.instance, undefined, KEPT_MS)).toEqual(claimed);
    expect(await directory.claim(call, b.instance, undefined, KEPT_MS)).toMatchObject({
      type: 'held',
      owner: a.instance,
      member: { url: 'http://a' },
      isReleased: false,
    });
    expect(await directory.lookup(undefined, call.callId)).toMatchObject({ type: 'held', name: call });
    expect(await directory.lookup('other', call.callId)).toMatchObject({ type: 'unknown' });
  });

  test('asks for the tenant where several have the same callId', async () => {
    const call = newCall();
    await directory.claim(call, a.instance, undefined, KEPT_MS);
    await directory.claim({ ...call, tenantId: 'globex' }, b.instance, undefined, KEPT_MS);
    expect(await directory.lookup(undefined, call.callId)).toEqual({ type: 'ambiguous', tenantCount: 2 });
    expect(await directory.lookup('globex', call.callId)).toMatchObject({ owner: b.instance });
  });

  test('counts the calls of a tenant over all nodes', async () => {
    const [first, second, third] = [newCall('small'), newCall('small'), newCall('small')];
    await directory.claim(first, a.instance, 2, KEPT_MS);
    const held = await directory.claim(second, b.instance, 2, KEPT_MS);
    expect(await directory.claim(third, b.instance, 2, KEPT_MS)).toEqual({ type: 'tenant_full' });
    await directory.conclude(second, epochOf(held), '{}', KEPT_MS);
    expect(await directory.claim(third, a.instance, 2, KEPT_MS)).toMatchObject({ type: 'claimed' });
  });

  test('lets nobody take a call whose owner lives, unless the owner released it', async () => {
    const call = newCall();
    const epoch = epochOf(await directory.claim(call, a.instance, undefined, KEPT_MS));
    await directory.save(call, epoch, '{"v":1}', KEPT_MS);
    expect(await directory.takeOver(call, epoch, b.instance, 0)).toEqual({ type: 'alive' });
    await directory.save(call, epoch, '{"v":2}', KEPT_MS, true);
    const taken = await directory.takeOver(call, epoch, b.instance, 0);
    expect(taken).toMatchObject({ type: 'taken', snapshot: '{"v":2}' });
    expect(epochOf(taken)).toBeGreaterThan(epoch);
    expect(await directory.lookup('acme', call.callId)).toMatchObject({ owner: b.instance, isReleased: false });
  });

  test('has one winner where two take a call, and tells the loser of an epoch that it has lost it', async () => {
    const call = newCall();
    const epoch = epochOf(await directory.claim(call, a.instance, undefined, KEPT_MS));
    await directory.save(call, epoch, '{}', KEPT_MS);
    const c = nodeNamed('c');
    await directory.join(c, LEASE_MS);
    const answers = await Promise.all(
      [b, c].map(({ instance }) => directory.takeOver(call, epoch, instance, LEASE_MS + 1)),
    );
    expect(answers.map(({ type }) => type).sort()).toEqual(['outdone', 'taken']);
    expect(await directory.save(call, epoch, '{"zombie":true}', KEPT_MS)).toBe(false);
    expect(await directory.conclude(call, epoch, '{}', KEPT_MS)).toBe(false);
    const renewed = await directory.renew(a, LEASE_MS);
    expect(renewed).toMatchObject({ type: 'renewed', taken: expect.arrayContaining([{ ...call, epoch }]) });
    expect(await directory.renew(a, LEASE_MS)).toMatchObject({ taken: [] });
  });

  test('knows nothing to go on with of a call whose owner saved nothing', async () => {
    const call = newCall();
    const epoch = epochOf(await directory.claim(call, a.instance, undefined, KEPT_MS));
    expect(await directory.takeOver(call, epoch, b.instance, LEASE_MS + 1)).toEqual({ type: 'gone' });
    expect(await directory.lookup('acme', call.callId)).toMatchObject({ type: 'unknown' });
  });

  test('keeps the summary of a call that is over, and lets another call of its name begin', async () => {
    const call = newCall();
    const epoch = epochOf(await directory.claim(call, a.instance, undefined, KEPT_MS));
    expect(await directory.conclude(call, epoch, '{"duration":1}', KEPT_MS)).toBe(true);
    expect(await directory.lookup('acme', call.callId)).toMatchObject({ type: 'over', owner: a.instance });
    expect(await directory.summaryOf(call)).toBe('{"duration":1}');
    const again = await directory.claim(call, b.instance, undefined, KEPT_MS);
    expect(epochOf(again)).toBeGreaterThan(epoch);
    expect(await directory.summaryOf(call)).toBeUndefined();
  });

  test('forgets a call that did not begin', async () => {
    const call = newCall();
    const epoch = epochOf(await directory.claim(call, a.instance, undefined, KEPT_MS));
    await directory.withdraw(call, epoch);
    expect(await directory.lookup(undefined, call.callId)).toMatchObject({ type: 'unknown' });
  });

  test('is told again what goes on: the higher epoch stays', async () => {
    const call = newCall();
    const first = await directory.register(call, 0, a.instance, '{"of":"a"}', KEPT_MS);
    expect(first).toBeGreaterThan(0);
    expect(await directory.register(call, 0, b.instance, '{"of":"b"}', KEPT_MS)).toBeUndefined();
    expect(await directory.register(call, first! + 1_000, b.instance, '{"of":"b"}', KEPT_MS)).toBe(first! + 1_000);
    expect(await directory.lookup('acme', call.callId)).toMatchObject({ owner: b.instance, epoch: first! + 1_000 });
    const next = newCall();
    expect(epochOf(await directory.claim(next, a.instance, undefined, KEPT_MS))).toBeGreaterThan(first! + 1_000);
    expect(
      await directory.touch(
        [
          { ...call, epoch: first! },
          { ...next, epoch: 0 },
        ],
        KEPT_MS,
      ),
    ).toEqual([call, next]);
  });

  test('takes no second node of one name, and none with another key', async () => {
    expect(await directory.join(nodeNamed('a', 2), LEASE_MS)).toMatchObject({ type: 'name_taken', by: a });
    expect(await directory.join(nodeNamed('d', 1, 'other'), LEASE_MS)).toMatchObject({ type: 'other_key' });
    await directory.leave(a);
    const heir = nodeNamed('a', 2);
    expect(await directory.join(heir, LEASE_MS)).toMatchObject({ type: 'joined' });
    expect(await directory.renew(a, LEASE_MS)).toMatchObject({ type: 'replaced' });
    // What the first still held, its successor of the same name did not inherit.
    const held = await directory.callsOf(a.instance);
    expect(held.length).toBeGreaterThan(0);
    const renewed = await directory.renew(heir, LEASE_MS);
    expect(renewed).toMatchObject({
      members: expect.arrayContaining([
        expect.objectContaining({ instance: a.instance, leaseLeftMs: 0, callCount: held.length }),
      ]),
    });
  });
});

describe('many nodes at once, which die and come back', () => {
  it.runIf(hasRedis)('have one owner a call at any time, and epochs only rise', async () => {
    const directories = await Promise.all(Array.from({ length: 4 }, () => RedisDirectory.open(redis!.url)));
    const report = await checkDirectory({ seed: 7, operations: 800, directories });
    await Promise.all(directories.map((directory) => directory.close()));
    expect(report.violations).toEqual([]);
    expect(report.takeovers).toBeGreaterThan(0);
    expect(report.deaths).toBeGreaterThan(0);
  });

  it('are found out where they are not', () => {
    const grant = (epoch: number, owner: string, begunAt: number, doneAt: number) => ({
      call: 'a/1',
      epoch,
      owner,
      begunAt,
      doneAt,
    });
    const late = { call: 'a/1', epoch: 1, begunAt: 5, doneAt: 6, isLast: false };
    expect(violationsOf([grant(1, 'x', 0, 1), grant(2, 'y', 2, 3)], [late])).toHaveLength(1);
    expect(violationsOf([grant(1, 'x', 0, 1), grant(2, 'y', 2, 7)], [late])).toEqual([]);
    expect(violationsOf([grant(2, 'x', 0, 1), grant(1, 'y', 2, 3)], [])).toHaveLength(1);
    expect(violationsOf([grant(1, 'x', 0, 1), grant(1, 'y', 2, 3)], [])).toHaveLength(1);
  });
});

function epochOf(answer: object): number {
  return (answer as { epoch: number }).epoch;
}
