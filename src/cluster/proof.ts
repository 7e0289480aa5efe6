import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Scope } from '../http/gateway.ts';

/** Headers that one node sends to another; from anybody else they count for nothing. */
export const NODE_HEADERS = {
  /** Which process sends it. */
  sender: 'x-cluster-node',
  /** Whose calls the client may see, as the node that the client asked found out. */
  scope: 'x-cluster-scope',
  proof: 'x-cluster-proof',
} as const;
/** In an answer: the node does not have the call. */
export const NOT_HERE = 'x-cluster-not-here';

const LONGEST_HEADER = 4_096;

/** Says which key a node has without telling it. */
export function keyPrint(clusterKey: string): string {
  return hash('sha256', `the cluster key's print\n${clusterKey}`).slice(0, 16);
}

/**
 * Proves that a request comes from a node of the cluster. The key itself never travels, and a proof is good for one
 * request to one process: its method, path and scope are in it.
 */
export class Proofs {
  readonly #key: string;
  readonly #self: string;

  constructor(clusterKey: string, selfInstance: string) {
    this.#key = clusterKey;
    this.#self = selfInstance;
  }

  /** The headers of a request to another node. */
  headers(method: string, path: string, scope: Scope, target: string): Record<string, string> {
    const text = encodeURIComponent(JSON.stringify(scope));
    return {
      [NODE_HEADERS.sender]: this.#self,
      [NODE_HEADERS.scope]: text,
      [NODE_HEADERS.proof]: this.#proof(method, path, text, this.#self, target),
    };
  }

  /** The scope that a node's request carries; undefined: nobody has proved anything. */
  scopeOf(method: string, path: string, headers: IncomingHttpHeaders): Scope | undefined {
    const { [NODE_HEADERS.sender]: sender, [NODE_HEADERS.scope]: text, [NODE_HEADERS.proof]: proof } = headers;
    if (typeof sender !== 'string' || typeof text !== 'string' || typeof proof !== 'string') return undefined;
    if (sender.length + text.length > LONGEST_HEADER) return undefined;
    const expected = Buffer.from(this.#proof(method, path, text, sender, this.#self));
    const given = Buffer.from(proof);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    return JSON.parse(decodeURIComponent(text)) as Scope;
  }

  #proof(method: string, path: string, scope: string, sender: string, target: string): string {
    return createHmac('sha256', this.#key)
      .update(`${method}\n${path}\n${scope}\n${sender}\n${target}`)
      .digest('base64url');
  }
}
