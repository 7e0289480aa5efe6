import { isIP } from 'node:net';
import { Type } from 'typebox';
import { subject } from '../subject.ts';

/** Where the gateway listens, and whom it lets in. */
export const access = subject({
  title: 'Address and access',
  variables: {
    PORT: Type.Integer({ minimum: 0, maximum: 65_535, default: 3105, description: 'HTTP port; 0 takes a free one' }),
    HOST: Type.String({
      default: '127.0.0.1',
      description: 'address to listen on; anything but loopback needs a key',
    }),
    W3_VOICE_GATEWAY_API_KEY: Type.Optional(Type.String({ description: "the operator's key; sees every tenant" })),
    API_KEYS_FILE: Type.Optional(
      Type.String({
        description:
          'JSON list of `{name, sha256, tenantId, may, budgetPerDay}`, the last two optional; reloaded when it changes',
      }),
    ),
    TLS_CERT_FILE: Type.Optional(Type.String({ description: 'PEM certificate chain; serves HTTPS with TLS_KEY_FILE' })),
    TLS_KEY_FILE: Type.Optional(Type.String({ description: 'PEM private key' })),
    TRUST_PROXY: Type.Optional(
      Type.String({ description: '`true`, or comma-separated addresses of proxies whose X-Forwarded-* count' }),
    ),
  },
  secrets: ['W3_VOICE_GATEWAY_API_KEY'],
  problems(env) {
    const problems: string[] = [];
    const hasKey = env.W3_VOICE_GATEWAY_API_KEY !== undefined || env.API_KEYS_FILE !== undefined;
    if (!hasKey && !isLoopback(env.HOST)) {
      problems.push(
        `HOST is "${env.HOST}", which others can reach, but neither W3_VOICE_GATEWAY_API_KEY nor API_KEYS_FILE is set: set a key or listen on 127.0.0.1`,
      );
    }
    if ((env.TLS_CERT_FILE === undefined) !== (env.TLS_KEY_FILE === undefined)) {
      const [set, unset] = env.TLS_CERT_FILE ? ['TLS_CERT_FILE', 'TLS_KEY_FILE'] : ['TLS_KEY_FILE', 'TLS_CERT_FILE'];
      problems.push(`${set} is set but ${unset} is not: HTTPS needs both`);
    }
    const proxies = parseTrustProxy(env.TRUST_PROXY);
    if (Array.isArray(proxies) && !proxies.every(isProxyAddress)) {
      problems.push(
        `TRUST_PROXY is ${JSON.stringify(env.TRUST_PROXY)}, but must be true, false, or addresses of proxies with commas between them`,
      );
    }
    return problems;
  },
});

const LOOPBACK = /^(localhost|127(?:\.\d{1,3}){3}|::1|\[::1\])$/;

/** Whether an address can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}

/** `TRUST_PROXY` as Fastify takes it. */
export function parseTrustProxy(value: string | undefined): boolean | string[] {
  if (value === undefined || value === 'false') return false;
  if (value === 'true') return true;
  return value.split(',').map((address) => address.trim());
}

/** Names that stand for ranges of addresses. */
const PROXY_RANGES = new Set(['loopback', 'linklocal', 'uniquelocal']);

function isProxyAddress(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const version = isIP(address);
  if (prefix === undefined) return version !== 0 || PROXY_RANGES.has(text);
  return rest.length === 0 && version !== 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128);
}
