import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { checkConfig } from '../../src/main/check.ts';
import { ProbeConversation } from '../../src/probe/conversation.ts';
import type { Finding } from '../../src/probe/finding.ts';
import { meet } from '../../src/probe/meeting.ts';
import { sentence } from '../../src/probe/voice.ts';
import { RealtimeSimulator, type SimulatorOptions } from '../../src/simulator/server.ts';
import type { Credentials } from '../../src/upstream/credentials.ts';
import { SETTINGS } from '../support/realtime.ts';

let simulator: RealtimeSimulator | undefined;
afterEach(() => simulator?.close());

async function meeting(options: SimulatorOptions, credentials: Partial<Credentials> = {}) {
  simulator = await RealtimeSimulator.listen({ responseDelayMs: 20, transcriptionDelayMs: 20, ...options });
  const target = { protocol: 'realtime', url: simulator.url, safetyIdentifier: undefined, apiKey: 'a-key' } as const;
  return await meet({ ...target, ...credentials }, SETTINGS, 5_000);
}

function texts(findings: readonly Finding[], ...levels: Finding['level'][]): string[] {
  return findings.filter(({ level }) => levels.includes(level)).map(({ text }) => text);
}

describe('meeting a server', () => {
  it.each([
    ['ga', {}, { good: ["events have today's names (GA)"] }],
    ['azure', { scheme: 'api-key' }, { note: ['the server is one of Azure'] }],
    ['azure', { apiKey: 'head.body.signature' }, { note: ['the server is one of Azure'] }],
    ['azure', {}, { problem: ['set OPENAI_AUTH=api-key'] }],
    ['no-created', {}, { note: ['session.updated without session.created'] }],
    ['beta', {}, { warning: ['audio.output.voice is alloy instead of marin'], problem: ["a name of the API's beta"] }],
    ['no-transcription', {}, { warning: ['refuses to transcribe with gpt-transcribe (model_not_found'] }],
  ] as const)('tells the dialect %s apart, with %j', async (dialect, credentials, expected) => {
    const { findings, talk } = await meeting({ dialect }, credentials);
    for (const level of ['note', 'warning', 'problem'] as const) {
      const said = texts(findings, level);
      const wanted = (expected as Partial<Record<Finding['level'], readonly string[]>>)[level] ?? [];
      expect(said).toEqual(wanted.map((part) => expect.stringContaining(part)));
    }
    talk?.close();
  });

  it('names what is likely where the server says no, without the key that it repeats', async () => {
    const wrong = await meeting({ apiKeys: ['another'] }, { scheme: 'api-key' });
    expect(texts(wrong.findings, 'problem')).toEqual([expect.stringContaining('is OPENAI_AUTH=bearer meant?')]);
    await simulator?.close();
    const none = await meeting({}, { scheme: 'none' });
    expect(texts(none.findings, 'problem')).toEqual([expect.stringContaining('No key was sent')]);
    await simulator?.close();
    const away = await meet(
      { protocol: 'realtime', url: simulator!.url, safetyIdentifier: undefined, apiKey: 'a-key' },
      SETTINGS,
      5_000,
    );
    expect(texts(away.findings, 'warning')).toEqual([expect.stringContaining('nothing is known of the server')]);
  });
});

it('talks with a server and says what it can', async () => {
  const { talk, isTranscribed } = await meeting({ dialect: 'azure' }, { scheme: 'api-key' });
  const lines = { question: await sentence('goodbye-16k', 0), interruption: await sentence('interrupter-16k', 1) };
  const findings: Finding[] = [];
  for await (const finding of new ProbeConversation(talk!, lines, isTranscribed).run()) findings.push(finding);
  talk!.close();
  expect(texts(findings, 'problem')).toEqual([]);
  expect(texts(findings, 'warning')).toEqual([expect.stringMatching(/DeploymentNotFound.*name the deployment/)]);
  const can = texts(findings, 'good').join('\n');
  for (const what of [
    'greeting: ',
    'turns: ',
    'answer to speech: ',
    'interruption: it stopped',
    'memory: ',
    'cancelling: ',
    'tools: ',
    'answer with its result: ',
    'usage: ',
  ]) {
    expect(can).toContain(what);
  }
}, 40_000);

it('is what --check tells, for each kind of session that agents want, without keys in URLs', async () => {
  const { talk } = await meeting({ dialect: 'no-transcription' });
  talk?.close();
  const folder = mkdtempSync(join(tmpdir(), 'check-'));
  const profile = (name: string, fields: object) =>
    writeFileSync(join(folder, `${name}.json`), JSON.stringify({ instructions: 'Answer.', ...fields }));
  profile('main', { transcription: null });
  profile('other', { instructions: 'Answer in verse.', transcription: null });
  profile('second', {});
  const env = { AGENTS_DIR: folder, DEFAULT_AGENT_REF: 'main', DATA_DIR: folder, OPENAI_API_KEY: 'a-key' };
  const config = readConfig({ ...env, OPENAI_REALTIME_URL: `${simulator!.url}?key=a-secret` });
  const { problems, warnings, facts } = await checkConfig(config);
  expect(problems).toEqual([]);
  expect(warnings).toEqual([expect.stringMatching(/^upstream: agent profile second: it refuses to transcribe/)]);
  expect(facts.filter((fact) => /session ready/.test(fact))).toHaveLength(1);
  expect(JSON.stringify({ warnings, facts })).not.toContain('a-secret');
  const connections = simulator!.stats.connectionsTotal;
  expect(connections).toBe(3);
  expect((await checkConfig(config, true)).warnings).toEqual([]);
  expect(simulator!.stats.connectionsTotal).toBe(connections);
  rmSync(folder, { recursive: true });
});
