import { Compile } from 'typebox/compile';
import { headerVariables } from '../webhooks/headers.ts';
import { isAllowedHost } from '../webhooks/hosts.ts';
import { type AgentProfile, AgentProfileSchema, checkAgentProfile, type ProfileTool } from './agent-profile.ts';
import type { LoadedProfile } from './profile-files.ts';
import { schemaProblem } from './schema-problem.ts';

/** What the backend may say about an agent. Voice and model stay the gateway's: those of other systems mean nothing here. */
const REMOTE_FIELDS = [
  'speed',
  'transcription',
  'transcriptionModel',
  'noiseReduction',
  'turnDetection',
  'minInterruptionMs',
  'maxOutputTokens',
  'reasoning',
  'truncation',
  'toolChoice',
  'parallelToolCalls',
  'maxCallSeconds',
  'noInput',
  'recording',
  'tools',
  'webhookHosts',
  'transferExtensions',
  'fallbackExtension',
] as const;

/** Those in which null says that something is off. */
const MAY_BE_OFF: ReadonlySet<string> = new Set(['noiseReduction', 'recording', 'transcription', 'transcriptionModel']);

/** How an agent speaks, and not what it may do: another agent does not inherit these. */
const PERSONA_FIELDS = ['instructions', 'greeting', 'noInput', 'language'] as const;

type RemoteField = (typeof REMOTE_FIELDS)[number] | 'greeting';

const checks = Object.fromEntries(
  [...REMOTE_FIELDS, 'greeting' as const].map((name) => [name, Compile(AgentProfileSchema.properties[name])]),
) as Record<RemoteField, ReturnType<typeof Compile>>;

/** The parts of an answer that can be used, and what was wrong with the others. */
export interface RemoteFields {
  readonly fields: Partial<AgentProfile>;
  readonly problems: readonly string[];
}

/**
 * Reads the backend's answer `{data: {systemPrompt, …}}`. `systemPrompt` (or `instructions`) is the prompt; `greeting`,
 * `firstMessage` or `welcomeMessage` the greeting, as text or as a profile has it; `language` may be a locale (`it-IT`).
 * Other fields count where name and type are those of a profile. A field that is wrong is left out, not the whole
 * answer; null and "" are the same as absent; fields that are none of ours are ignored.
 * @throws {Error} when the text is no such answer
 */
export function readRemoteAnswer(text: string): RemoteFields {
  const data = (JSON.parse(text) as { data?: unknown } | null)?.data;
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    throw new Error('the answer has no data object');
  const source = data as Record<string, unknown>;
  const fields: Record<string, unknown> = {};
  const problems: string[] = [];
  const take = (name: RemoteField, value: unknown) => {
    if (checks[name].Check(value)) fields[name] = value;
    else problems.push(schemaProblem(checks[name].Errors(value), name));
  };
  const prompt = firstFilled(source, ['systemPrompt', 'instructions']);
  if (typeof prompt === 'string' && prompt.trim() !== '') fields.instructions = prompt;
  else if (prompt !== undefined) problems.push('systemPrompt must be a text');
  const greeting = firstFilled(source, ['greeting', 'firstMessage', 'welcomeMessage']);
  if (greeting !== undefined) take('greeting', typeof greeting === 'string' ? { say: greeting } : greeting);
  const language = firstFilled(source, ['language']);
  if (language !== undefined) {
    const code = typeof language === 'string' ? /^([a-z]{2,3})(?:[-_]|$)/i.exec(language)?.[1] : undefined;
    if (code === undefined) problems.push('language must start with an ISO 639 code');
    else fields.language = code.toLowerCase();
  }
  for (const name of REMOTE_FIELDS) {
    const value = source[name];
    const isOff = value === null && MAY_BE_OFF.has(name);
    if (isOff || isFilled(value)) take(name, value);
  }
  return { fields: fields as Partial<AgentProfile>, problems };
}

function firstFilled(source: Record<string, unknown>, names: readonly string[]): unknown {
  return names.map((name) => source[name]).find(isFilled);
}

function isFilled(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

export interface MergedProfile {
  /** undefined: there is no usable profile, and `problems` says why. */
  readonly profile: LoadedProfile | undefined;
  readonly problems: readonly string[];
}

/**
 * Puts what the backend says of an agent over what is local. Under it lies the agent's own local profile, or, if it
 * has none, what the default profile may do (tools, allow-lists, turn detection), but not how it speaks.
 *
 * The backend belongs to the operator, but others may edit agents in it, so it is not trusted with everything:
 * - `webhookHosts` can only be narrowed. Webhooks run inside the operator's network; which hosts they reach is decided
 *   on this machine. A tool that calls another host is left out.
 * - Tools from the backend get none of this machine's environment (`${WEBHOOK_…}` in headers).
 * - `transferExtensions` may be set: that is where a tenant's extensions are kept. A list with one bad entry is
 *   refused whole, and the local one stays. The local fallback extension stays reachable.
 * - `filler` names a file of this machine, and is local.
 */
export function mergeRemote(
  remote: RemoteFields,
  own: LoadedProfile | undefined,
  fallback: LoadedProfile | undefined,
  source: string,
): MergedProfile {
  const problems = [...remote.problems];
  const { fillerFile, ...base } = own ?? withoutPersona(fallback);
  const merged: Partial<AgentProfile> = { ...base, ...remote.fields };
  mergeTranscription(merged, base, remote.fields);
  if (merged.instructions === undefined) {
    return { profile: undefined, problems: [...problems, 'systemPrompt is missing, and there is no local profile'] };
  }
  const localHosts = base.webhookHosts ?? [];
  const remoteHosts = remote.fields.webhookHosts;
  if (remoteHosts) {
    const isLocal = (host: string) => localHosts.some((local) => local.toLowerCase() === host.toLowerCase());
    merged.webhookHosts = remoteHosts.filter(isLocal);
    if (merged.webhookHosts.length < remoteHosts.length) {
      problems.push('webhookHosts names hosts that the local profile does not allow');
    }
  }
  const extensions = merged.transferExtensions ?? [];
  if (base.fallbackExtension !== undefined && !extensions.includes(base.fallbackExtension)) {
    merged.transferExtensions = [...extensions, base.fallbackExtension];
  }
  if (merged.fallbackExtension !== undefined && !merged.transferExtensions?.includes(merged.fallbackExtension)) {
    problems.push(`fallbackExtension is "${merged.fallbackExtension}", but transferExtensions does not have it`);
    if (base.fallbackExtension === undefined) delete merged.fallbackExtension;
    else merged.fallbackExtension = base.fallbackExtension;
  }
  if (merged.tools) {
    const isRemote = remote.fields.tools !== undefined;
    merged.tools = merged.tools.filter((tool) => {
      const problem = toolProblem(tool, merged, isRemote);
      if (problem !== undefined) problems.push(problem);
      return problem === undefined;
    });
  }
  const { toolChoice } = merged;
  if (typeof toolChoice === 'object' && !merged.tools?.some((tool) => nameOf(tool) === toolChoice.name)) {
    problems.push(`toolChoice is "${toolChoice.name}", but tools does not have it`);
    delete merged.toolChoice;
  }
  try {
    const profile = checkAgentProfile(merged, source);
    return { profile: fillerFile === undefined ? profile : { ...profile, fillerFile }, problems };
  } catch (error) {
    return { profile: undefined, problems: [...problems, (error as Error).message] };
  }
}

function withoutPersona(profile: LoadedProfile | undefined): Partial<LoadedProfile> {
  const rest: Partial<LoadedProfile> = { ...profile };
  for (const name of PERSONA_FIELDS) delete rest[name];
  if (rest.transcription) {
    // What is said in it is the persona's; which model listens is not.
    const { language: _language, prompt: _prompt, keywords: _keywords, ...listening } = rest.transcription;
    rest.transcription = listening;
  }
  return rest;
}

/** Puts what the backend says of transcription, under its older names too, over what is local under either. */
function mergeTranscription(
  merged: Partial<AgentProfile>,
  { transcription: local }: Partial<AgentProfile>,
  { transcription, transcriptionModel, language }: Partial<AgentProfile>,
): void {
  if (transcription === undefined) {
    if (local === undefined) return;
    const told = {
      ...(transcriptionModel ? { model: transcriptionModel } : {}),
      ...(language === undefined ? {} : { language }),
    };
    if (transcriptionModel === null) merged.transcription = null;
    else if (local !== null || transcriptionModel !== undefined) merged.transcription = { ...local, ...told };
  }
  delete merged.transcriptionModel;
}

function nameOf(tool: ProfileTool): string {
  return tool.type === 'webhook' ? tool.name : tool.type;
}

function toolProblem(tool: ProfileTool, profile: Partial<AgentProfile>, isRemote: boolean): string | undefined {
  if (tool.type === 'transfer_to_extension') {
    return profile.transferExtensions?.length
      ? undefined
      : 'tools has transfer_to_extension, but there are no extensions';
  }
  if (tool.type !== 'webhook') return undefined;
  if (isRemote && headerVariables(tool.headers ?? {}).length > 0) {
    return `tools.${tool.name} names environment variables, which only local profiles may`;
  }
  const url = URL.parse(tool.url.replaceAll(/[{}]/g, ''));
  return url && isAllowedHost(url, profile.webhookHosts ?? [])
    ? undefined
    : `tools.${tool.name} calls a host that is not in webhookHosts`;
}
