#!/usr/bin/env node
/** `npm run probe-upstream`: what a Realtime server can do of what calls need. */
import { Command } from 'commander';
import { AgentProfiles } from '../backend/profiles/agent-profiles.ts';
import { conversationSettings } from '../call/settings.ts';
import { monotonicNowMs } from '../clock.ts';
import { ConfigError } from '../config/check-environment.ts';
import { readConfig } from '../config/config.ts';
import { credentialsOf } from '../config/credentials.ts';
import { maskUrl } from '../config/masked-url.ts';
import { connectRealtime } from '../realtime/connection.ts';
import type { UpstreamTarget } from '../upstream/ai-conversation.ts';
import type { ConversationSettings, UpstreamAudioType } from '../upstream/settings.ts';
import { ProbeConversation } from './conversation.ts';
import { type Finding, good, warning } from './finding.ts';
import { meet } from './meeting.ts';
import { sentence } from './voice.ts';

const READY_MS = 10_000;
const SILENT = { info() {}, warn() {}, error() {} };
const SIGNS: Readonly<Record<Finding['level'], string>> = { good: ' ✓ ', note: ' · ', warning: ' ! ', problem: ' ✗ ' };

const program = new Command('probe-upstream')
  .description(
    'Has a short conversation with the Realtime server of the environment (OPENAI_…), and says what it can and cannot. It costs what six short responses cost.',
  )
  .option('--url <url>', 'the server (default: OPENAI_REALTIME_URL)')
  .option('--model <name>', 'model or deployment (default: that of the agent, or OPENAI_REALTIME_MODEL)')
  .option('--agent <ref>', 'whose settings to use (default: DEFAULT_AGENT_REF)')
  .parse();

interface CliOptions {
  readonly url?: string;
  readonly model?: string;
  readonly agent?: string;
}

/** @returns the exit code: 0 when calls work, 1 when they do not */
async function probe({ url, model, agent }: CliOptions): Promise<number> {
  const config = readConfig({ ...process.env, ...(url === undefined ? {} : { OPENAI_REALTIME_URL: url }) });
  const { env, upstreamUrl } = config;
  if (upstreamUrl === undefined) {
    throw new Error('there is no server to probe: set OPENAI_API_KEY or OPENAI_REALTIME_URL, or give --url');
  }
  const target: UpstreamTarget = {
    protocol: 'realtime',
    url: upstreamUrl,
    ...credentialsOf(config),
    safetyIdentifier: undefined,
  };
  const ref = agent ?? env.DEFAULT_AGENT_REF;
  const profiles = await AgentProfiles.open({ directory: env.AGENTS_DIR, log: SILENT });
  const profile = await profiles.get(ref, env.DEFAULT_TENANT_ID);
  profiles.close();
  if (!profile) throw new Error(`"${env.AGENTS_DIR}" has no agent profile ${ref}`);
  const values = { callId: 'probe', tenantId: env.DEFAULT_TENANT_ID, aiAgentRef: ref };
  const named = model === undefined ? profile : { ...profile, model };
  const settings = { ...conversationSettings(named, env.OPENAI_REALTIME_MODEL, 'audio/pcm', values), tools: [] };
  say(`${maskUrl(upstreamUrl)}, as the agent ${ref} wants it\n`);
  let hasProblem = false;
  const tell = ({ level, text }: Finding) => {
    hasProblem ||= level === 'problem';
    say(`${SIGNS[level]}${text}\n`);
  };
  const { findings, talk, isTranscribed } = await meet(target, settings, READY_MS);
  findings.forEach(tell);
  if (talk) {
    try {
      const lines = {
        question: await sentence('opening-hours-8k', 0),
        interruption: await sentence('interrupter-16k', 1),
      };
      for await (const finding of new ProbeConversation(talk, lines, isTranscribed).run()) tell(finding);
    } finally {
      talk.close();
    }
    for (const type of ['audio/pcmu', 'audio/pcma'] as const) tell(await takesFormat(target, settings, type));
  }
  const wasMet = talk !== undefined;
  say(!wasMet || hasProblem ? 'calls would not work with this server\n' : 'calls work with this server\n');
  return wasMet && !hasProblem ? 0 : 1;
}

/** G.711 all the way is the telephone's own encoding, and saves converting it. */
async function takesFormat(target: UpstreamTarget, settings: ConversationSettings, audioType: UpstreamAudioType) {
  try {
    const options = {
      target,
      settings: { ...settings, audioType, interruptedBy: 'server' as const },
      timeoutMs: READY_MS,
      nowMs: monotonicNowMs,
    };
    const connection = await connectRealtime(options);
    connection.close();
    const { misfit } = connection;
    const isOther = misfit?.kind === 'settings' && misfit.differences.some(({ field }) => field.endsWith('format'));
    return isOther ? warning(`${audioType}: it keeps another format`) : good(`${audioType}: taken`);
  } catch (error) {
    return warning(`${audioType}: ${(error as Error).message}; calls in PCM are not concerned`);
  }
}

function say(text: string): void {
  process.stdout.write(text);
}

try {
  process.exitCode = await probe(program.opts<CliOptions>());
} catch (error) {
  const problems = error instanceof ConfigError ? error.problems : [(error as Error).message];
  for (const text of problems) process.stderr.write(`${text}\n`);
  process.exitCode = 2;
}
