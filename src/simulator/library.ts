import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { readWav } from '../audio/wav.ts';
import { Recogniser, type Template, templateOf } from './recogniser.ts';
import { type Manifest, readScript, type Script } from './script.ts';
import { Voice } from './voice.ts';

/** What the simulator says and understands: everything made from the fixtures folder. */
export interface Library {
  script: Script;
  voice: Voice;
  recogniser: Recogniser;
}

const loaded = new Map<string, Promise<Library>>();

/**
 * Reads a fixtures folder: the assistant's lines, its script, and the calls whose utterances are to be recognised. Read
 * once a process and folder.
 * @throws Error when a file is missing or unfit, naming it
 */
export function loadLibrary(fixturesDir: string): Promise<Library> {
  const folder = resolve(fixturesDir);
  let library = loaded.get(folder);
  if (!library) {
    library = read(folder);
    loaded.set(folder, library);
    // A folder that could not be read may be complete the next time.
    library.catch(() => loaded.delete(folder));
  }
  return library;
}

async function read(folder: string): Promise<Library> {
  const { manifest, script } = await readScript(folder);
  const [voice, templates] = await Promise.all([readVoice(folder, manifest), readTemplates(folder, manifest)]);
  for (const lineId of linesOf(script)) {
    if (!voice.has(lineId))
      throw new Error(`the script names the agent line '${lineId}', which the manifest does not have`);
  }
  return { script, voice, recogniser: new Recogniser(templates) };
}

function linesOf(script: Script): string[] {
  const { greeting, noInput = [], rules, otherwise } = script;
  return [greeting, ...noInput, ...otherwise, ...rules.flatMap(({ say, afterTool = [] }) => [...say, ...afterTool])];
}

async function readMono(path: string): Promise<{ samples: Int16Array; sampleRateHz: number }> {
  try {
    return readWav(await readFile(path));
  } catch (cause) {
    throw new Error(`the simulator cannot read ${path}`, { cause });
  }
}

async function readVoice(folder: string, { agentLines }: Manifest): Promise<Voice> {
  const lines = Object.entries(agentLines).map(
    async ([id, { file, text }]) => [id, { text, ...(await readMono(join(folder, file))) }] as const,
  );
  return new Voice(new Map(await Promise.all(lines)));
}

async function readTemplates(folder: string, { calls }: Manifest): Promise<Template[]> {
  const templates = Object.values(calls).map(async ({ file, utterances }) => {
    const { samples, sampleRateHz } = await readMono(join(folder, file));
    return utterances.map(({ startMs, endMs, text }) => {
      const at = (ms: number) => Math.round((ms * sampleRateHz) / 1000);
      return templateOf(text, samples.subarray(at(startMs), at(endMs)), sampleRateHz);
    });
  });
  return (await Promise.all(templates)).flat();
}
