import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { BackendLog } from '../backend/log.ts';
import { AgentProfiles } from '../backend/profiles/agent-profiles.ts';
import { modelProblem, transcriptionOf } from '../backend/profiles/upstream-fields.ts';
import type { Config } from '../config/config.ts';
import { maskUrl } from '../config/masked-url.ts';
import { KeyRing } from '../http/key-ring.ts';
import { readTls } from '../http/tls.ts';
import { endOfModel } from '../upstream/models.ts';

/** What a look at the configuration found. */
export interface CheckResult {
  /** A sentence for each thing that would keep the daemon from starting, or from working. */
  readonly problems: readonly string[];
  /** What is set up, a line each. */
  readonly facts: readonly string[];
  /** A sentence for each thing that works now and will not for ever. */
  readonly warnings: readonly string[];
}

const SILENT: BackendLog = { info() {}, warn() {}, error() {} };

/** Reads every file that the configuration names, and neither listens, connects nor writes. */
export async function checkConfig(config: Config): Promise<CheckResult> {
  const { env } = config;
  const problems: string[] = [];
  const facts: string[] = [];
  const warnings: string[] = [];
  const look = async (part: () => string | undefined | Promise<string | undefined>) => {
    try {
      const fact = await part();
      if (fact !== undefined) facts.push(fact);
    } catch (error) {
      problems.push(...(error as Error).message.split('\n'));
    }
  };
  await look(async () => {
    const profiles = await AgentProfiles.open({ directory: env.AGENTS_DIR, log: SILENT });
    profiles.close();
    checkDefaultAgent(config, profiles.localRefs);
    for (const ref of profiles.localRefs) {
      const profile = await profiles.get(ref, env.DEFAULT_TENANT_ID);
      if (!profile) continue;
      const model = profile.model ?? env.OPENAI_REALTIME_MODEL;
      const problem = modelProblem(profile, model);
      if (problem !== undefined) problems.push(`agent profile ${ref}: ${problem}`);
      for (const name of [model, transcriptionOf(profile)?.model]) {
        const end = name === undefined ? undefined : endOfModel(name);
        if (end) warnings.push(`agent profile ${ref}: ${name} ends on ${end.endsOn}; use ${end.successor}`);
      }
    }
    return `agent profiles: ${profiles.localRefs.join(', ')}`;
  });
  await look(() => {
    const keys = new KeyRing({ operatorKey: env.W3_VOICE_GATEWAY_API_KEY, keysFile: env.API_KEYS_FILE });
    keys.close();
    if (keys.isOpen) return 'keys: none, so only this machine can call';
    return `keys: ${env.W3_VOICE_GATEWAY_API_KEY === undefined ? 'no operator' : 'the operator'}, tenants: ${keys.tenantKeyCount}`;
  });
  await look(() => (readTls(env) ? 'TLS: on' : 'TLS: off'));
  await look(() => checkWritable(env.DATA_DIR));
  const upstream = config.upstreamUrl === undefined ? 'the embedded simulator' : maskUrl(config.upstreamUrl);
  facts.push(`address: ${env.HOST}:${env.PORT}`, `upstream: ${upstream}`);
  return { problems, facts, warnings };
}

/** @throws {Error} when calls that name no agent would find none */
export function checkDefaultAgent({ env }: Config, localRefs: readonly string[]): void {
  if (localRefs.includes(env.DEFAULT_AGENT_REF) || env.W3_API_URL !== undefined) return;
  throw new Error(`DEFAULT_AGENT_REF is "${env.DEFAULT_AGENT_REF}", but "${env.AGENTS_DIR}" has no such profile`);
}

function checkWritable(directory: string): string {
  let existing = resolve(directory);
  while (!existsSync(existing)) existing = dirname(existing);
  try {
    accessSync(existing, constants.W_OK | constants.X_OK);
    if (!statSync(existing).isDirectory()) throw new Error(`${existing} is not a directory`);
  } catch (cause) {
    throw new Error(`DATA_DIR is "${directory}", but it cannot be written: ${(cause as Error).message}`, { cause });
  }
  return `store of calls: ${resolve(directory)}`;
}
