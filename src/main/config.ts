import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { envSchema } from 'env-schema';
import { type Static, Type } from 'typebox';
import { WEBHOOK_VARIABLE_PREFIX } from '../backend/webhooks/headers.ts';
import { AGENT_REF_PATTERN, TENANT_ID_PATTERN } from '../http/schemas.ts';
import { maskUrl, secretsInUrl } from './masked-url.ts';

const DAY_MS = 86_400_000;

/** Milliseconds within bounds, with a default. */
function ms(defaultMs: number, description: string, minimum = 1, maximum = DAY_MS) {
  return Type.Integer({ minimum, maximum, default: defaultMs, description });
}

/**
 * Every environment variable the daemon reads: type, bounds, default and the sentence the README's table shows.
 * Duration names end in `_MS`, sizes and counts have none.
 */
export const EnvironmentSchema = Type.Object({
  PORT: Type.Integer({ minimum: 0, maximum: 65_535, default: 3105, description: 'HTTP port; 0 takes a free one' }),
  HOST: Type.String({
    default: '127.0.0.1',
    description: 'address to listen on; anything but loopback needs a key',
  }),
  W3_VOICE_GATEWAY_API_KEY: Type.Optional(Type.String({ description: "the operator's key; sees every tenant" })),
  API_KEYS_FILE: Type.Optional(
    Type.String({ description: 'JSON list of `{name, sha256, tenantId}`; reloaded when it changes' }),
  ),
  OPENAI_API_KEY: Type.Optional(Type.String({ description: 'key for the OpenAI Realtime API' })),
  OPENAI_REALTIME_URL: Type.Optional(
    Type.String({
      pattern: '^wss?://.+',
      description:
        'Realtime server; `wss://api.openai.com/v1/realtime` when a key is set, the embedded simulator when neither is',
    }),
  ),
  OPENAI_REALTIME_MODEL: Type.String({
    default: 'gpt-realtime-2.1',
    description: 'model for agent profiles that name none',
  }),
  W3_API_URL: Type.Optional(
    Type.String({ pattern: '^https?://.+', description: 'W3 backend: agent profiles and call summaries' }),
  ),
  W3_API_KEY: Type.Optional(Type.String({ description: "key for the W3 backend; default: the gateway's own key" })),
  AGENTS_DIR: Type.String({ default: './agents', description: 'folder of agent profiles, `<aiAgentRef>.json`' }),
  DEFAULT_TENANT_ID: Type.String({
    pattern: TENANT_ID_PATTERN,
    default: 'default',
    description: 'tenant of calls that name none',
  }),
  DEFAULT_AGENT_REF: Type.String({
    pattern: AGENT_REF_PATTERN,
    default: 'customer-care-voice',
    description: 'agent profile of calls that name none',
  }),
  SESSION_IDLE_TIMEOUT_MS: ms(600_000, 'a session without a request this long ends (`idle`)'),
  FIRST_AUDIO_TIMEOUT_MS: ms(30_000, 'a call that never sends audio ends after this long'),
  CREATE_TIMEOUT_MS: ms(10_000, 'longest wait for the upstream when a session is created', 1, 120_000),
  MAX_SESSIONS: Type.Integer({ minimum: 1, maximum: 100_000, default: 500, description: 'sessions in all' }),
  MAX_SESSIONS_PER_TENANT: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 100_000, description: 'sessions a tenant; default: no limit of its own' }),
  ),
  SESSION_WORKERS: Type.String({
    pattern: '^(dedicated|[1-9][0-9]{0,2})$',
    default: 'dedicated',
    description: '`dedicated`: a worker thread a session; a number: sessions share that many threads',
  }),
  SPARE_SESSION_WORKERS: Type.Integer({
    minimum: 0,
    maximum: 64,
    default: 4,
    description: 'warm threads kept ready for the next calls (dedicated mode)',
  }),
  AUDIO_THREADS: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 64, description: 'threads of the audio pool; default: half the cores' }),
  ),
  LOG_LEVEL: Type.Union(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map((level) => Type.Literal(level)),
    { default: 'info', description: 'pino level' },
  ),
  SHUTDOWN_GRACE_MS: ms(30_000, 'how long running calls may go on after SIGTERM; a second one ends them', 0),
  TLS_CERT_FILE: Type.Optional(Type.String({ description: 'PEM certificate chain; serves HTTPS with TLS_KEY_FILE' })),
  TLS_KEY_FILE: Type.Optional(Type.String({ description: 'PEM private key' })),
  TRUST_PROXY: Type.Optional(
    Type.String({ description: '`true`, or comma-separated addresses of proxies whose X-Forwarded-* count' }),
  ),
  DATA_DIR: Type.String({
    default: './data',
    description: 'folder of the store of calls: their history, and summaries to be delivered',
  }),
  JOURNAL_RETENTION_DAYS: Type.Integer({
    minimum: 0,
    maximum: 3650,
    default: 30,
    description: 'days that calls (personal data) stay in the history; 0 keeps none once their summary is delivered',
  }),
  OVERLOAD_EVENT_LOOP_MS: ms(100, 'new calls are refused while the event loop is this late on average', 1, 60_000),
  OVERLOAD_POOL_QUEUE: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 500,
    description: 'new calls are refused while this many audio jobs wait for a second',
  }),
  OVERLOAD_RSS_MB: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 100_000_000,
      description:
        'new calls are refused while the process uses more megabytes; default: nine tenths of what it may have',
    }),
  ),
  CALLER_HASH_KEY: Type.Optional(
    Type.String({
      minLength: 16,
      description:
        'key of the caller hash sent upstream as OpenAI-Safety-Identifier; default: derived from the API keys',
    }),
  ),
});

export type Environment = Static<typeof EnvironmentSchema>;

/** The daemon's configuration: the environment, checked, with what follows from it. */
export interface Config {
  readonly env: Environment;
  /** Number of shared session workers, or `dedicated`: one a session. */
  readonly sessionWorkers: 'dedicated' | number;
  readonly audioThreads: number;
  readonly upstream: 'openai' | 'simulator';
  /** Without it the embedded simulator is started and its URL used. */
  readonly upstreamUrl: string | undefined;
  /** `true`, a list of proxies, or `false`, as Fastify takes it. */
  readonly trustProxy: boolean | string[];
}

/** The configuration is unusable. `problems` has a sentence for each bad variable. */
export class ConfigError extends Error {
  readonly code = 'bad_config';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

const SECRETS = new Set(['W3_VOICE_GATEWAY_API_KEY', 'OPENAI_API_KEY', 'W3_API_KEY', 'CALLER_HASH_KEY']);

/** Variables whose values are URLs, in which keys may be. */
const URLS = ['OPENAI_REALTIME_URL', 'W3_API_URL'] as const;

/** The values that nobody may read anywhere: keys, those in URLs too, and what webhook tools send in their headers. */
export function secretsOf({ env }: Config, source: NodeJS.ProcessEnv = process.env): string[] {
  const keys = Object.entries(env).flatMap(([name, value]) => (SECRETS.has(name) ? [String(value)] : []));
  const headers = Object.entries(source).flatMap(([name, value]) =>
    value && name.startsWith(WEBHOOK_VARIABLE_PREFIX) ? [value] : [],
  );
  const urls = URLS.flatMap((name) => secretsInUrl(env[name] ?? ''));
  return [...keys, ...headers, ...urls];
}

/**
 * Reads and checks the environment. Empty values count as unset.
 * @throws {ConfigError} with one sentence for every variable that is wrong
 */
export function readConfig(source: NodeJS.ProcessEnv = process.env): Config {
  const data: Record<string, string> = {};
  for (const name of Object.keys(EnvironmentSchema.properties)) {
    const value = source[name]?.trim();
    if (value) data[name] = value;
  }
  const env = checkEnvironment(data);
  const problems = crossChecks(env);
  if (problems.length > 0) throw new ConfigError(problems);
  const hasUpstream = env.OPENAI_API_KEY !== undefined || env.OPENAI_REALTIME_URL !== undefined;
  return {
    env,
    sessionWorkers: env.SESSION_WORKERS === 'dedicated' ? 'dedicated' : Number(env.SESSION_WORKERS),
    audioThreads: env.AUDIO_THREADS ?? Math.max(1, Math.floor(availableParallelism() / 2)),
    upstream: hasUpstream ? 'openai' : 'simulator',
    upstreamUrl: hasUpstream ? (env.OPENAI_REALTIME_URL ?? 'wss://api.openai.com/v1/realtime') : undefined,
    trustProxy: parseTrustProxy(env.TRUST_PROXY),
  };
}

function checkEnvironment(data: Record<string, string>): Environment {
  try {
    return envSchema<Environment>({ schema: EnvironmentSchema, data, env: false });
  } catch (cause) {
    const errors = (cause as { errors?: AjvError[] }).errors;
    if (!errors) throw cause;
    const problems = new Map<string, string>();
    for (const error of errors) {
      const name = error.instancePath.slice(1);
      if (!problems.has(name)) problems.set(name, describe(name, data[name], error));
    }
    throw new ConfigError([...problems.values()]);
  }
}

interface AjvError {
  instancePath: string;
  keyword: string;
  message?: string;
}

function describe(name: string, value: string | undefined, error: AjvError): string {
  const isUrl = (URLS as readonly string[]).includes(name);
  const shown = SECRETS.has(name)
    ? 'is set, but'
    : `is ${JSON.stringify(isUrl && value !== undefined ? maskUrl(value) : value)}, but`;
  const schema = EnvironmentSchema.properties[name as keyof Environment] as {
    pattern?: string;
    anyOf?: { const: string }[];
    minimum?: number;
    maximum?: number;
    minLength?: number;
  };
  if (name === 'SESSION_WORKERS') return `${name} ${shown} must be "dedicated" or a number from 1 to 999`;
  if (schema.anyOf) return `${name} ${shown} must be one of ${schema.anyOf.map((s) => s.const).join(', ')}`;
  if (schema.minimum !== undefined) {
    return `${name} ${shown} must be a whole number from ${schema.minimum} to ${schema.maximum}`;
  }
  if (schema.pattern?.startsWith('^ws')) return `${name} ${shown} must be a ws:// or wss:// URL`;
  if (schema.pattern === TENANT_ID_PATTERN) return `${name} ${shown} must be text that matches ${schema.pattern}`;
  if (schema.minLength !== undefined) return `${name} ${shown} must have at least ${schema.minLength} characters`;
  if (schema.pattern?.startsWith('^http')) return `${name} ${shown} must be an http:// or https:// URL`;
  return `${name} ${shown} ${error.message ?? 'is not valid'}`;
}

const LOOPBACK = /^(localhost|127(?:\.\d{1,3}){3}|::1|\[::1\])$/;

/** Whether an address can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}

function crossChecks(env: Environment): string[] {
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
  for (const name of URLS) {
    const value = env[name];
    if (value !== undefined && !URL.canParse(value)) problems.push(`${name} is "${maskUrl(value)}", but must be a URL`);
  }
  return problems;
}

function parseTrustProxy(value: string | undefined): boolean | string[] {
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
