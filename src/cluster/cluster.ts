import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Metrics } from '../metrics/metrics.ts';
import { ClusterGateway, type LocalGateway } from './cluster-gateway.ts';
import type { CallName, Directory, Member } from './directory.ts';
import { Membership, type MembershipListener } from './membership.ts';
import { MemoryDirectory } from './memory-directory.ts';
import { Peers } from './peers.ts';
import { keyPrint, Proofs } from './proof.ts';
import { RedisDirectory } from './redis/redis-directory.ts';
import { CallRouter } from './router.ts';

/** How long a node that is late with its lease may take to answer. */
const PROBE_TIMEOUT_MS = 400;
const SWEEP_EVERY_MS = 5_000;

export interface ClusterOptions {
  readonly local: LocalGateway;
  /** Absent: this node is the whole gateway. */
  readonly shared?: { readonly url: string; readonly key: string } | undefined;
  readonly maxSessionsPerTenant: number | undefined;
  readonly idleTimeoutMs: number;
  readonly createTimeoutMs: number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** One node's part in a cluster: its gateway, its membership, its ways to the others. Whoever opens it closes it. */
export class Cluster implements MembershipListener {
  readonly gateway: ClusterGateway;
  /** Absent without other nodes. */
  readonly router: CallRouter | undefined;
  readonly #directory: Directory;
  readonly #membership: Membership | undefined;
  readonly #peers: Peers | undefined;
  readonly #log: Logger;
  readonly #sweeping: NodeJS.Timeout | undefined;

  private constructor(options: ClusterOptions, directory: Directory) {
    const { shared, log, metrics } = options;
    this.#directory = directory;
    this.#log = log;
    this.#membership = shared && new Membership({ directory, keyPrint: keyPrint(shared.key), log, listener: this });
    const membership = this.#membership;
    this.gateway = new ClusterGateway({
      ...options,
      directory,
      instance: membership?.instance ?? randomUUID(),
    });
    metrics.observeCluster({
      nodes: () => this.state.nodes,
      isDirectoryUp: () => this.state.isDirectoryUp,
      unregistered: () => this.gateway.held.all().filter(({ epoch }) => epoch === 0).length,
    });
    if (!membership || !shared) return;
    const proofs = new Proofs(shared.key, membership.instance);
    const peers = new Peers(proofs);
    this.#peers = peers;
    this.router = new CallRouter({
      directory,
      membership,
      peers,
      proofs,
      calls: this.gateway,
      onForwarded: (outcome) => metrics.clusterForwarded.inc({ outcome }),
    });
    this.gateway.connect({ membership, peers, router: this.router });
    this.#sweeping = setInterval(() => this.#watch(this.gateway.sweep()), SWEEP_EVERY_MS).unref();
  }

  /** How it stands, for operators. */
  get state(): { readonly isShared: boolean; readonly isDirectoryUp: boolean; readonly nodes: number } {
    const membership = this.#membership;
    return {
      isShared: membership !== undefined,
      isDirectoryUp: !membership?.isAway,
      nodes: membership ? membership.others.length + (membership.isReplaced ? 0 : 1) : 1,
    };
  }

  /**
   * @throws {Error} a sentence: nobody answers at `shared.url`
   */
  static async open(options: ClusterOptions): Promise<Cluster> {
    const { shared } = options;
    if (!shared) return new Cluster(options, new MemoryDirectory());
    return new Cluster(options, await RedisDirectory.open(shared.url));
  }

  /**
   * Becomes a node of the cluster, once others can reach this one.
   * @throws {Error} a sentence: the name or the key is not as it should be
   */
  async join(nodeUrl: string): Promise<void> {
    await this.#membership?.join(nodeUrl);
    const { self } = this.#membership ?? {};
    if (self) this.#log.info({ nodeId: self.nodeId, nodeUrl: self.url }, 'part of the cluster');
  }

  /** Idempotent. */
  async close(): Promise<void> {
    clearInterval(this.#sweeping);
    this.gateway.close();
    await this.#membership?.close();
    await this.#peers?.close();
    await this.#directory.close();
  }

  /** Passes calls on to other nodes, as far as there are any; see {@link ClusterGateway.handOver}. */
  handOver(graceMs: number): Promise<void> {
    return this.gateway.handOver(graceMs);
  }

  /** What is done for the cluster ends no call and no process. */
  #watch(doing: Promise<void>): void {
    doing.catch((err: Error) => this.#log.error({ err }, 'the cluster cannot be looked after'));
  }

  // What the membership tells

  onTaken(calls: readonly (CallName & { readonly epoch: number })[]): void {
    this.gateway.taken(calls);
  }

  onBack(): void {
    this.#log.info(
      { calls: this.gateway.held.all().length },
      'the directory of the cluster answers: calls are registered',
    );
    this.#watch(this.gateway.register());
  }

  onAway(err: Error): void {
    this.#log.error({ err }, 'the directory of the cluster does not answer: calls go on, but none can be taken over');
  }

  onDead(instance: string): void {
    const member = this.#membership?.get(instance);
    this.#log.warn({ nodeId: member?.nodeId, calls: member?.callCount }, 'a node of the cluster is gone');
    this.router?.abandon(instance);
    this.#peers?.keepOnly(new Set(this.#membership?.others.map(({ url }) => url)));
  }

  async isThere(member: Member): Promise<boolean> {
    try {
      await this.#peers?.ask(member, {
        method: 'GET',
        path: '/health',
        scope: { tenantId: undefined },
        timeoutMs: PROBE_TIMEOUT_MS,
      });
      return true;
    } catch {
      return false;
    }
  }
}
