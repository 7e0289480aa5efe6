import type { CallName, Directory, NodeRecord } from '../../src/cluster/directory.ts';
import { Random } from '../fuzz/random.ts';

/** Long enough for a node to do something, short enough for many to die while it is checked. */
const LEASE_MS = 30;
const KEPT_MS = 60_000;

export interface DirectoryCheckOptions {
  readonly seed: number;
  readonly operations: number;
  /** Each node has a connection of its own. */
  readonly directories: readonly Directory[];
  /** Operations under way at once. */
  readonly concurrency?: number;
  readonly calls?: number;
}

export interface DirectoryCheckReport {
  readonly operations: number;
  readonly grants: number;
  readonly takeovers: number;
  readonly deaths: number;
  readonly refusedSaves: number;
  /** A sentence for each thing that must not be. */
  readonly violations: readonly string[];
}

/** A node gave or was given the right to a call, between two moments. */
interface Grant {
  readonly call: string;
  readonly epoch: number;
  readonly owner: string;
  readonly begunAt: number;
  readonly doneAt: number;
}

/** A node wrote under an epoch, and was let. */
interface Write extends Omit<Grant, 'owner'> {
  readonly isLast: boolean;
}

/** One node: what it believes to hold, right or wrong. */
interface Node {
  record: NodeRecord;
  readonly directory: Directory;
  readonly held: Map<string, { readonly name: CallName; epoch: number }>;
  run: number;
}

/**
 * Random operations of nodes that die, sleep and come back, many at once, and what has to be true of their order
 * whatever it was: each epoch is given once, later grants have higher epochs, and nobody writes under an epoch after a
 * higher one of the call was given.
 */
export async function checkDirectory(options: DirectoryCheckOptions): Promise<DirectoryCheckReport> {
  const { seed, operations, directories, concurrency = 8, calls = 12 } = options;
  const random = new Random(seed);
  const nodes: Node[] = directories.map((directory, index) => ({
    record: recordOf(index, 0),
    directory,
    held: new Map(),
    run: 0,
  }));
  const names = Array.from({ length: calls }, (_, at) => ({ tenantId: at % 2 ? 'a' : 'b', callId: `call-${at}` }));
  const grants: Grant[] = [];
  const writes: Write[] = [];
  const counts = { takeovers: 0, deaths: 0, refusedSaves: 0 };
  let clock = 0;
  const now = () => clock++;
  for (const { directory, record } of nodes) await directory.join(record, LEASE_MS);

  async function operate(): Promise<void> {
    const node = random.pick(nodes);
    const name = random.pick(names);
    const key = `${name.tenantId}/${name.callId}`;
    const held = node.held.get(key);
    const { directory, record } = node;
    const { instance } = record;
    const begunAt = now();
    const granted = (epoch: number) => {
      grants.push({ call: key, epoch, owner: instance, begunAt, doneAt: now() });
      // It may have died or been told otherwise meanwhile.
      if (node.record === record) node.held.set(key, { name, epoch });
    };
    const what = random.next();
    if (what < 0.2) {
      const answer = await directory.renew(record, LEASE_MS);
      if (node.record === record) {
        for (const { epoch, ...lost } of answer.taken) {
          const lostKey = `${lost.tenantId}/${lost.callId}`;
          if (node.held.get(lostKey)?.epoch === epoch) node.held.delete(lostKey);
        }
      }
    } else if (what < 0.4) {
      const answer = await directory.claim(name, instance, undefined, KEPT_MS);
      if (answer.type === 'claimed' && answer.epoch !== held?.epoch) granted(answer.epoch);
    } else if (what < 0.6 && held) {
      const isOurs = await directory.save(name, held.epoch, `{"epoch":${held.epoch}}`, KEPT_MS, random.chance(0.1));
      if (isOurs) writes.push({ call: key, epoch: held.epoch, begunAt, doneAt: now(), isLast: false });
      else {
        counts.refusedSaves += 1;
        if (node.held.get(key) === held) node.held.delete(key);
      }
    } else if (what < 0.85) {
      const found = await directory.lookup(name.tenantId, name.callId);
      if (found.type === 'held' && found.owner !== instance) {
        const answer = await directory.takeOver(name, found.epoch, instance, random.chance(0.2) ? LEASE_MS / 2 : 0);
        if (answer.type === 'taken') {
          counts.takeovers += 1;
          granted(answer.epoch);
        }
      }
    } else if (what < 0.9 && held) {
      if (await directory.conclude(name, held.epoch, '{}', KEPT_MS)) {
        writes.push({ call: key, epoch: held.epoch, begunAt, doneAt: now(), isLast: true });
      }
      if (node.held.get(key) === held) node.held.delete(key);
    } else if (what < 0.95 && held) {
      const epoch = await directory.register(name, held.epoch, instance, '{}', KEPT_MS);
      if (epoch === undefined) {
        if (node.held.get(key) === held) node.held.delete(key);
      } else if (epoch !== held.epoch) granted(epoch);
    } else if (what >= 0.97) {
      counts.deaths += 1;
      node.run += 1;
      node.record = recordOf(nodes.indexOf(node), node.run);
      node.held.clear();
      // Its successor waits until its name is free.
      await directory.join(node.record, LEASE_MS).catch(() => {});
    } else await new Promise((resolve) => setTimeout(resolve, random.next() * LEASE_MS));
  }

  let left = operations;
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (left-- > 0) await operate();
    }),
  );
  return { operations, grants: grants.length, ...counts, violations: violationsOf(grants, writes) };
}

/** What of a history cannot have been, in whatever order its overlapping operations took effect. */
export function violationsOf(grants: readonly Grant[], writes: readonly Write[]): string[] {
  const violations: string[] = [];
  const seen = new Map<number, Grant>();
  for (const grant of grants) {
    const other = seen.get(grant.epoch);
    if (other && (other.call !== grant.call || other.owner !== grant.owner)) {
      violations.push(`epoch ${grant.epoch} was given to ${other.owner} and to ${grant.owner}`);
    }
    seen.set(grant.epoch, grant);
  }
  const byCall = Map.groupBy(grants, ({ call }) => call);
  for (const [call, list] of byCall) {
    const inOrder = list.toSorted((a, b) => a.doneAt - b.doneAt);
    let highest: Grant | undefined;
    for (const grant of list.toSorted((a, b) => a.begunAt - b.begunAt)) {
      for (const earlier of inOrder) {
        if (earlier.doneAt >= grant.begunAt) break;
        if (!highest || earlier.epoch > highest.epoch) highest = earlier;
      }
      if (highest && grant.epoch < highest.epoch) {
        violations.push(`${call}: epoch ${grant.epoch} was given after ${highest.epoch}`);
      }
    }
  }
  for (const write of writes) {
    const outdoing = byCall.get(write.call)?.find(({ epoch, doneAt }) => epoch > write.epoch && doneAt < write.begunAt);
    if (outdoing) violations.push(`${write.call}: written under ${write.epoch} after ${outdoing.epoch} was given`);
  }
  return violations;
}

function recordOf(index: number, run: number): NodeRecord {
  return { instance: `node-${index}-${run}`, nodeId: `node-${index}`, url: `http://node-${index}`, keyPrint: 'k' };
}
