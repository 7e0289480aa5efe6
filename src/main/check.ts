import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { BackendLog } from '../backend/log.ts';
import type { AgentProfile } from '../backend/profiles/agent-profile.ts';
import { AgentProfiles } from '../backend/profiles/agent-profiles.ts';
import { modelProblem, transcriptionOf } from '../backend/profiles/upstream-fields.ts';
import { conversationSettings } from '../call/settings.ts';
import type { Config } from '../config/config.ts';
import { credentialsOf } from '../config/credentials.ts';
import { maskUrl } from '../config/masked-url.ts';
import { Prices } from '../costs/prices.ts';
import { KeyRing } from '../http/key-ring.ts';
import { readTls } from '../http/tls.ts';
import type { Finding } from '../probe/finding.ts';
import { meet } from '../probe/meeting.ts';
import { credentialHeaders } from '../upstream/credentials.ts';
import { endOfModel } from '../upstream/models.ts';
import { protocolOf } from '../upstream/protocol.ts';
import type { ConversationSettings } from '../upstream/settings.ts';

/** What a look at the configuration found. */
export interface CheckResult {
  /** A sentence for each thing that would keep the daemon from starting, or from working. */
  readonly problems: readonly string[];
  /** What is set up, a line each. */
  readonly facts: readonly string[];
  /** A sentence for each thing that works only in part, or not for ever, or that could not be looked at. */
  readonly warnings: readonly string[];
}

/** Sessions that are tried at once at most. */
const MAX_MEETINGS = 8;
const MEETING_MS = 5_000;
const SILENT: BackendLog = { info() {}, warn() {}, error() {} };

/**
 * Reads every file that the configuration names, and greets the Realtime server without having it answer. Neither listens
 * nor writes.
 * @param isOffline the server is left alone
 */
export async function checkConfig(config: Config, isOffline = false): Promise<CheckResult> {
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
  let prices: Prices | undefined;
  await look(() => {
    prices = Prices.open(env.PRICES_FILE);
    return `prices: ${env.PRICES_FILE ?? 'those that ship'}, of ${prices.asOf}, in ${prices.currency}`;
  });
  const agents = new Map<string, AgentProfile>();
  await look(async () => {
    const profiles = await AgentProfiles.open({ directory: env.AGENTS_DIR, log: SILENT });
    profiles.close();
    checkDefaultAgent(config, profiles.localRefs);
    for (const ref of profiles.localRefs) {
      const profile = await profiles.get(ref, env.DEFAULT_TENANT_ID);
      if (!profile) continue;
      agents.set(ref, profile);
      const model = profile.model ?? env.OPENAI_REALTIME_MODEL;
      const problem = modelProblem(profile, model);
      if (problem !== undefined) problems.push(`agent profile ${ref}: ${problem}`);
      for (const name of [model, transcriptionOf(profile)?.model]) {
        if (name === undefined) continue;
        if (prices?.has(name) === false) warnings.push(`agent profile ${ref}: there is no price for ${name}`);
        const end = endOfModel(name);
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
  await look(() => {
    credentialHeaders(credentialsOf(config));
    return undefined;
  });
  const upstream = config.upstreamUrl === undefined ? 'the embedded simulator' : maskUrl(config.upstreamUrl);
  facts.push(`address: ${env.HOST}:${env.PORT}`, `upstream: ${upstream}`);
  if (isOffline || problems.length > 0) return { problems, facts, warnings };
  for (const { level, text } of await meetFor(config, agents)) {
    const list = level === 'problem' ? problems : level === 'warning' ? warnings : facts;
    list.push(`upstream: ${text}`);
  }
  return { problems, facts, warnings };
}

/** Meets the Realtime server once for each kind of session that the agents want, the default agent's first. */
async function meetFor(config: Config, agents: ReadonlyMap<string, AgentProfile>): Promise<Finding[]> {
  const { env, upstreamUrl } = config;
  if (upstreamUrl === undefined) return [];
  const target = {
    protocol: 'realtime',
    url: upstreamUrl,
    safetyIdentifier: undefined,
    ...credentialsOf(config),
  } as const;
  const kinds = new Map<string, { ref: string; settings: ConversationSettings }>();
  const isDefault = ([ref]: readonly [string, unknown]) => ref === env.DEFAULT_AGENT_REF;
  for (const [ref, profile] of [...agents].sort((a, b) => Number(isDefault(b)) - Number(isDefault(a)))) {
    if (protocolOf(profile, profile.model ?? env.OPENAI_REALTIME_MODEL) !== 'realtime') continue;
    const values = { callId: 'check', tenantId: env.DEFAULT_TENANT_ID, aiAgentRef: ref };
    const settings = conversationSettings(profile, env.OPENAI_REALTIME_MODEL, 'audio/pcm', values);
    // What differs in words alone is met once.
    const kind = JSON.stringify({ ...settings, instructions: undefined });
    if (!kinds.has(kind)) kinds.set(kind, { ref, settings });
  }
  const meetings = [...kinds.values()].slice(0, MAX_MEETINGS).map(async ({ ref, settings }) => {
    const { findings, talk } = await meet(target, settings, MEETING_MS);
    talk?.close();
    return { ref, findings };
  });
  const said = new Set<string>();
  const all: Finding[] = [];
  for (const { ref, findings } of await Promise.all(meetings)) {
    const isFirst = said.size === 0;
    for (const finding of findings) {
      // Of the others only what is new is worth a line, and nobody needs each one's milliseconds.
      if (said.has(finding.text) || (!isFirst && finding.level === 'good')) continue;
      said.add(finding.text);
      all.push(isFirst ? finding : { ...finding, text: `agent profile ${ref}: ${finding.text}` });
    }
  }
  return all;
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
