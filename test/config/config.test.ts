import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/config/check-environment.ts';
import { type Config, readConfig, secretsOf } from '../../src/config/config.ts';
import { EnvironmentSchema } from '../../src/config/environment.ts';
import { isLoopback } from '../../src/config/subjects/access.ts';

function problemsOf(source: Record<string, string>): readonly string[] {
  try {
    readConfig(source);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

const read = (source: Record<string, string> = {}): Config => readConfig(source);

describe('readConfig', () => {
  it('has a default for everything a first start needs', () => {
    const { env, sessionWorkers, audioThreads, upstream, upstreamUrl, trustProxy } = read();
    expect(env).toMatchObject({
      PORT: 3105,
      HOST: '127.0.0.1',
      OPENAI_REALTIME_MODEL: 'gpt-realtime-2.1',
      AGENTS_DIR: './agents',
      DEFAULT_AGENT_REF: 'customer-care-voice',
      SESSION_IDLE_TIMEOUT_MS: 600_000,
      FIRST_AUDIO_TIMEOUT_MS: 30_000,
      LOG_LEVEL: 'info',
      DATA_DIR: './data',
    });
    expect(env.W3_VOICE_GATEWAY_API_KEY).toBeUndefined();
    expect(sessionWorkers).toBe('dedicated');
    expect(audioThreads).toBeGreaterThanOrEqual(1);
    expect(upstream).toBe('simulator');
    expect(upstreamUrl).toBeUndefined();
    expect(trustProxy).toBe(false);
  });

  it('takes an empty value for no value', () => {
    const { env } = read({ PORT: '', HOST: '  ', W3_VOICE_GATEWAY_API_KEY: '', SESSION_WORKERS: '' });
    expect([env.PORT, env.HOST, env.W3_VOICE_GATEWAY_API_KEY]).toEqual([3105, '127.0.0.1', undefined]);
  });

  it('reads numbers from text', () => {
    const { env, sessionWorkers, audioThreads } = read({
      PORT: '0',
      MAX_SESSIONS: '7',
      SESSION_WORKERS: '2',
      AUDIO_THREADS: '3',
      SESSION_IDLE_TIMEOUT_MS: '1234',
    });
    expect([env.PORT, env.MAX_SESSIONS, env.SESSION_IDLE_TIMEOUT_MS]).toEqual([0, 7, 1234]);
    expect([sessionWorkers, audioThreads]).toEqual([2, 3]);
  });

  it('uses the real upstream with a key, and the given one with a URL', () => {
    expect(read({ OPENAI_API_KEY: 'sk-x' })).toMatchObject({
      upstream: 'openai',
      upstreamUrl: 'wss://api.openai.com/v1/realtime',
    });
    expect(read({ OPENAI_REALTIME_URL: 'ws://127.0.0.1:9/x' })).toMatchObject({
      upstream: 'openai',
      upstreamUrl: 'ws://127.0.0.1:9/x',
    });
  });

  it.each([
    [{ OPENAI_API_KEY: 'a', OPENAI_API_KEY_FILE: 'b' }, 'are both set'],
    [
      { OPENAI_AUTH: 'api-key', OPENAI_REALTIME_URL: 'wss://x' },
      'neither OPENAI_API_KEY nor OPENAI_API_KEY_FILE is set',
    ],
    [{ OPENAI_AUTH: 'api-key', OPENAI_API_KEY: 'a' }, 'OPENAI_REALTIME_URL is not set'],
  ])('refuses %j', (env, problem) => {
    expect(problemsOf(env)).toEqual([expect.stringContaining(problem)]);
  });

  it.each([
    ['PORT', 'abc', 'PORT is "abc", but must be a whole number from 0 to 65535'],
    ['PORT', '65536', 'PORT is "65536", but must be a whole number from 0 to 65535'],
    ['PORT', '1.5', 'PORT is "1.5", but must be a whole number from 0 to 65535'],
    ['MAX_SESSIONS', '0', 'MAX_SESSIONS is "0", but must be a whole number from 1 to 100000'],
    ['SESSION_WORKERS', 'many', 'SESSION_WORKERS is "many", but must be "dedicated" or a number from 1 to 999'],
    ['SESSION_WORKERS', '0', 'SESSION_WORKERS is "0", but must be "dedicated" or a number from 1 to 999'],
    ['LOG_LEVEL', 'loud', 'LOG_LEVEL is "loud", but must be one of fatal, error, warn, info, debug, trace, silent'],
    ['OPENAI_REALTIME_URL', 'http://x', 'OPENAI_REALTIME_URL is "http://x", but must be a ws:// or wss:// URL'],
    ['W3_API_URL', 'ftp://x', 'W3_API_URL is "ftp://x", but must be an http:// or https:// URL'],
    ['W3_API_URL', 'https://', 'W3_API_URL is "https://", but must be an http:// or https:// URL'],
    ['W3_API_URL', 'https://a b', 'W3_API_URL is "https://a b", but must be a URL'],
    [
      'DEFAULT_TENANT_ID',
      'a tenant',
      'DEFAULT_TENANT_ID is "a tenant", but must be text that matches ^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$',
    ],
    ['CALLER_HASH_KEY', 'short-secret', 'CALLER_HASH_KEY is set, but must have at least 16 characters'],
    ['SHUTDOWN_GRACE_MS', '-1', 'SHUTDOWN_GRACE_MS is "-1", but must be a whole number from 0 to 86400000'],
    [
      'TRUST_PROXY',
      'yes',
      'TRUST_PROXY is "yes", but must be true, false, or addresses of proxies with commas between them',
    ],
  ])('refuses %s=%s with a sentence', (name, value, sentence) => {
    expect(problemsOf({ [name]: value })).toEqual([sentence]);
  });

  it('says everything that is wrong, a sentence a variable', () => {
    expect(problemsOf({ PORT: 'x', MAX_SESSIONS: '-2', LOG_LEVEL: 'y' })).toHaveLength(3);
  });

  it('does not show a secret', () => {
    expect(problemsOf({ CALLER_HASH_KEY: 'short-secret' }).join()).not.toContain('short-secret');
  });

  it('listens where others can reach it only with a key', () => {
    for (const host of ['0.0.0.0', '::', '192.168.0.2', 'gateway.example.com']) {
      expect(problemsOf({ HOST: host })).toEqual([
        `HOST is "${host}", which others can reach, but neither W3_VOICE_GATEWAY_API_KEY nor API_KEYS_FILE is set: set a key or listen on 127.0.0.1`,
      ]);
      expect(problemsOf({ HOST: host, W3_VOICE_GATEWAY_API_KEY: 'k' })).toEqual([]);
      expect(problemsOf({ HOST: host, API_KEYS_FILE: 'keys.json' })).toEqual([]);
    }
    for (const host of ['127.0.0.1', '127.8.9.1', 'localhost', '::1']) {
      expect(isLoopback(host)).toBe(true);
      expect(problemsOf({ HOST: host })).toEqual([]);
    }
    for (const host of ['127.0.0.1.example.com', '1127.0.0.1', 'localhost.example.com', '0.0.0.0']) {
      expect(isLoopback(host)).toBe(false);
    }
  });

  it('wants both files of TLS or none', () => {
    expect(problemsOf({ TLS_CERT_FILE: 'cert.pem' })).toEqual([
      'TLS_CERT_FILE is set but TLS_KEY_FILE is not: HTTPS needs both',
    ]);
    expect(problemsOf({ TLS_KEY_FILE: 'key.pem' })).toEqual([
      'TLS_KEY_FILE is set but TLS_CERT_FILE is not: HTTPS needs both',
    ]);
  });

  it.each([
    ['false', false],
    ['true', true],
    ['10.0.0.1, 10.0.0.2', ['10.0.0.1', '10.0.0.2']],
    ['10.0.0.0/8,loopback,::1', ['10.0.0.0/8', 'loopback', '::1']],
  ])('reads TRUST_PROXY=%s', (value, expected) => {
    expect(read({ TRUST_PROXY: value }).trustProxy).toEqual(expected);
  });

  it.each(['10.0.0.1/33', '10.0.0', '1', 'proxy.example.com', '10.0.0.1,', '::1/129', '10.0.0.1/8/8'])(
    'refuses TRUST_PROXY=%s',
    (value) => {
      expect(problemsOf({ TRUST_PROXY: value })).toHaveLength(1);
    },
  );

  it('knows what nobody may read', () => {
    const env = { OPENAI_API_KEY: 'sk-1', W3_API_KEY: 'w3', W3_VOICE_GATEWAY_API_KEY: 'gw', DATA_DIR: 'd' };
    const secrets = secretsOf(read(env), { ...env, WEBHOOK_TOKEN: 'token', WEBHOOK_EMPTY: '', PATH: 'p' });
    expect(secrets.sort()).toEqual(['gw', 'sk-1', 'token', 'w3']);
  });

  it('describes every variable for the documentation', () => {
    for (const [name, schema] of Object.entries(EnvironmentSchema.properties)) {
      expect(name).toMatch(/^[A-Z][A-Z0-9_]*$/);
      expect((schema as { description?: string }).description, name).toMatch(/\S{3}/);
    }
  });
});
