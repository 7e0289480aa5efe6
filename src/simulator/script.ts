import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A recorded sentence of the assistant. */
export interface AgentLine {
  /** Path of the WAV file, relative to the fixtures folder. */
  file: string;
  text: string;
  durationMs: number;
}

/** A recorded call, for the recogniser. */
export interface RecordedCall {
  file: string;
  sampleRateHz: number;
  channels: number;
  durationMs: number;
  description: string;
  utterances: { startMs: number; endMs: number; text: string }[];
  expectReplies: string[];
}

/** `fixtures/manifest.json`. */
export interface Manifest {
  agentLines: Record<string, AgentLine>;
  calls: Record<string, RecordedCall>;
}

/** A function that the assistant calls. */
export interface ScriptedCall {
  name: string;
  arguments: Record<string, unknown>;
}

/** What the assistant does when the caller's words contain one of `whenAny` (whole words, in any case). */
export interface Rule {
  whenAny: string[];
  /** Ids of agent lines, spoken in this order. */
  say: string[];
  /** Called after the words, if the session offers tools of these names. */
  tool?: ScriptedCall | ScriptedCall[];
  /** Ids of agent lines, spoken when the tool has answered. */
  afterTool?: string[];
}

/** `fixtures/agent/script.json`. Line ids throughout. */
export interface Script {
  greeting: string;
  /** Said when an idle timeout finds the caller silent. */
  noInput?: string[];
  /** The first that matches wins. */
  rules: Rule[];
  otherwise: string[];
}

/** The folder's manifest and script. @throws Error when one is missing or not JSON, naming the file */
export async function readScript(fixturesDir: string): Promise<{ manifest: Manifest; script: Script }> {
  const manifest = await readJson<Manifest>(join(fixturesDir, 'manifest.json'));
  const script = await readJson<Script>(join(fixturesDir, 'agent', 'script.json'));
  return { manifest, script };
}

async function readJson<T>(path: string): Promise<T> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch (cause) {
    throw new Error(`the simulator cannot read ${path}`, { cause });
  }
}

function words(text: string): string {
  return ` ${text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()} `;
}

/** The functions that a rule has called. */
export function callsOf(rule: Rule | undefined): ScriptedCall[] {
  return rule?.tool === undefined ? [] : [rule.tool].flat();
}

/** The first rule whose words occur in `text`. */
export function ruleFor(script: Script, text: string): Rule | undefined {
  const heard = words(text);
  return script.rules.find((rule) => rule.whenAny.some((phrase) => heard.includes(words(phrase))));
}
