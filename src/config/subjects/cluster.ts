import { Type } from 'typebox';
import { subject } from '../subject.ts';

const SCHEMES = ['redis:', 'rediss:', 'redis+sentinel:', 'rediss+sentinel:'];
const SHORTEST_KEY = 16;

/** Several nodes that are one gateway. */
export const cluster = subject({
  title: 'Several nodes',
  variables: {
    CLUSTER_URL: Type.Optional(
      Type.String({
        description:
          'Redis or Valkey that the nodes share: `redis://`, `rediss://` or `redis+sentinel://HOST:PORT/MASTER?sentinels=HOST:PORT,…`; without it this node is the whole gateway',
      }),
    ),
    NODE_URL: Type.Optional(
      Type.String({
        description: 'where the other nodes reach this one; default: HOST and PORT, or the name of the machine',
      }),
    ),
    CLUSTER_KEY: Type.Optional(
      Type.String({
        minLength: SHORTEST_KEY,
        description: 'what proves to a node that a request comes from another; the same on all of them',
      }),
    ),
  },
  secrets: ['CLUSTER_KEY'],
  urls: ['CLUSTER_URL', 'NODE_URL'],
  problems(env) {
    const { CLUSTER_URL, CLUSTER_KEY, NODE_URL } = env;
    const problems: string[] = [];
    if (CLUSTER_URL !== undefined && CLUSTER_KEY === undefined) {
      problems.push('CLUSTER_URL is set, but CLUSTER_KEY is not: the nodes need one to know each other by');
    }
    if (CLUSTER_URL === undefined && (CLUSTER_KEY !== undefined || NODE_URL !== undefined)) {
      const name = CLUSTER_KEY === undefined ? 'NODE_URL' : 'CLUSTER_KEY';
      problems.push(`${name} is set, but CLUSTER_URL is not: there is no cluster to be part of`);
    }
    if (CLUSTER_URL !== undefined && URL.canParse(CLUSTER_URL)) {
      const { protocol, pathname } = new URL(CLUSTER_URL);
      if (!SCHEMES.includes(protocol)) {
        problems.push(`CLUSTER_URL begins with "${protocol}", but must begin with one of ${SCHEMES.join(' ')}`);
      } else if (protocol.includes('+sentinel') && pathname.length < 2) {
        problems.push('CLUSTER_URL names Sentinels, but not the master: redis+sentinel://HOST:PORT/MASTER');
      }
    }
    if (NODE_URL !== undefined && URL.canParse(NODE_URL)) {
      const { protocol, pathname, search } = new URL(NODE_URL);
      if (!/^https?:$/.test(protocol) || pathname !== '/' || search !== '') {
        problems.push(
          `NODE_URL is "${NODE_URL}", but must be http:// or https:// with a host and a port, and nothing more`,
        );
      }
    }
    return problems;
  },
});
