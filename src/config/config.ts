import { availableParallelism } from 'node:os';
import { WEBHOOK_VARIABLE_PREFIX } from '../backend/webhooks/headers.ts';
import { checkEnvironment } from './check-environment.ts';
import { type Environment, EnvironmentSchema, SECRETS, URLS } from './environment.ts';
import { secretsInUrl } from './masked-url.ts';
import { parseTrustProxy } from './subjects/access.ts';

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
  const hasKey = env.OPENAI_API_KEY !== undefined || env.OPENAI_API_KEY_FILE !== undefined;
  const hasUpstream = hasKey || env.OPENAI_REALTIME_URL !== undefined;
  return {
    env,
    sessionWorkers: env.SESSION_WORKERS === 'dedicated' ? 'dedicated' : Number(env.SESSION_WORKERS),
    audioThreads: env.AUDIO_THREADS ?? Math.max(1, Math.floor(availableParallelism() / 2)),
    upstream: hasUpstream ? 'openai' : 'simulator',
    upstreamUrl: hasUpstream ? (env.OPENAI_REALTIME_URL ?? 'wss://api.openai.com/v1/realtime') : undefined,
    trustProxy: parseTrustProxy(env.TRUST_PROXY),
  };
}

/** The values that nobody may read anywhere: keys, those in URLs too, and what webhook tools send in their headers. */
export function secretsOf({ env }: Config, source: NodeJS.ProcessEnv = process.env): string[] {
  const keys: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (SECRETS.has(name)) keys.push(String(value));
    if (URLS.has(name)) keys.push(...secretsInUrl(String(value)));
  }
  const headers = Object.entries(source).flatMap(([name, value]) =>
    value && name.startsWith(WEBHOOK_VARIABLE_PREFIX) ? [value] : [],
  );
  return [...keys, ...headers];
}
