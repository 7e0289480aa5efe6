import { open, readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { BackendLog } from '../log.ts';
import { headerVariables } from '../webhooks/headers.ts';
import { type AgentProfile, AgentProfileError, checkAgentProfile } from './agent-profile.ts';
import { unknownPlaceholders } from './instructions.ts';

/** What an `aiAgentRef` looks like, and so the name of a profile's file before `.json`. */
const AGENT_REF = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const EXTENSION = '.json';
const MAX_FILE_BYTES = 1024 * 1024;
const DEFAULT_POLL_INTERVAL_MS = 2_000;
/** Looks that must find a file gone before its profile is: editors that replace a file take it away for a moment. */
const LOOKS_UNTIL_GONE = 2;

/** A profile ready for use. */
export type LoadedProfile = AgentProfile & {
  /** Absolute path of `filler`; it existed, as a WAV file, when the profile was loaded. */
  readonly fillerFile?: string;
};

/** How a profile is. */
export interface AgentState {
  readonly ref: string;
  /** There is a profile in use. */
  readonly isUsable: boolean;
  /** Why the file, as it is now, is not it. */
  readonly problem?: string;
}

export interface ProfileFilesOptions {
  readonly directory: string;
  readonly log: BackendLog;
  /** How often the directory is looked at; default 2000. */
  readonly pollIntervalMs?: number | undefined;
}

interface ProfileFile {
  /** Changes when the file does. */
  version: string;
  profile: LoadedProfile | undefined;
  /** Why its present content is not used. */
  refusal: string | undefined;
  timesMissed: number;
}

/**
 * The profiles in a directory, `<aiAgentRef>.json` each, kept up to date by looking at the files now and then: that
 * works on every file system, network mounts and mounted config maps included. A file that turns bad is refused with
 * its reason in the log, and what it said before stays in use.
 */
export class ProfileFiles {
  readonly #directory: string;
  readonly #log: BackendLog;
  readonly #pollIntervalMs: number;
  readonly #files = new Map<string, ProfileFile>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #directoryProblem: string | undefined;

  private constructor({ directory, log, pollIntervalMs = DEFAULT_POLL_INTERVAL_MS }: ProfileFilesOptions) {
    this.#directory = resolve(directory);
    this.#log = log;
    this.#pollIntervalMs = pollIntervalMs;
  }

  /**
   * @throws {AgentProfileError} when a file is bad
   * @throws {AggregateError} of those when several are; its message has a line for each
   * @throws {Error} when the directory cannot be read
   */
  static async open(options: ProfileFilesOptions): Promise<ProfileFiles> {
    const files = new ProfileFiles(options);
    const refs = await files.#list();
    const results = await Promise.allSettled(refs.map((ref) => files.#load(ref)));
    const problems = results.filter((result) => result.status === 'rejected').map(({ reason }) => reason as Error);
    if (problems.length === 1) throw problems[0];
    if (problems.length > 1) throw new AggregateError(problems, problems.map(({ message }) => message).join('\n'));
    files.#lookAgainLater();
    return files;
  }

  /** Names that have a profile. */
  get refs(): string[] {
    return [...this.#files].filter(([, { profile }]) => profile).map(([ref]) => ref);
  }

  /** How each of them is, by name. */
  get states(): AgentState[] {
    return [...this.#files]
      .map(([ref, { profile, refusal }]) => ({
        ref,
        isUsable: profile !== undefined,
        ...(refusal === undefined ? {} : { problem: refusal }),
      }))
      .sort((a, b) => a.ref.localeCompare(b.ref));
  }

  get(ref: string): LoadedProfile | undefined {
    return this.#files.get(ref)?.profile;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #lookAgainLater(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => void this.#look().finally(() => this.#lookAgainLater()), this.#pollIntervalMs);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    let refs: string[];
    try {
      refs = await this.#list();
      this.#directoryProblem = undefined;
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.#directoryProblem) this.#log.error({ err: error }, 'agent profiles stay as they are');
      this.#directoryProblem = message;
      return;
    }
    const present = new Set(refs);
    for (const [ref, file] of this.#files) {
      if (present.has(ref)) continue;
      file.timesMissed += 1;
      if (file.timesMissed < LOOKS_UNTIL_GONE) continue;
      this.#files.delete(ref);
      this.#log.info({ agent: ref }, 'agent profile removed');
    }
    for (const ref of refs) {
      if (this.#isClosed) return;
      await this.#reload(ref);
    }
  }

  async #reload(ref: string): Promise<void> {
    const before = this.#files.get(ref);
    const { profile: oldProfile, refusal: oldRefusal, version: oldVersion } = before ?? {};
    try {
      if (await this.#load(ref)) this.#log.info({ agent: ref }, 'agent profile loaded');
    } catch (error) {
      const { message } = error as Error;
      const file = this.#files.get(ref);
      if (file) file.refusal = message;
      // Taken away between listing and reading: the next look knows.
      if (((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return;
      if (message === oldRefusal && file?.version === oldVersion) return;
      const kept = oldProfile ? 'the profile as it was before stays in use' : 'there is no such agent';
      this.#log.error({ agent: ref, err: error }, `agent profile refused: ${kept}`);
    }
  }

  /**
   * Reads a profile if its file changed or was refused before (what it lacked may be there by now).
   * @returns whether there is a new profile
   */
  async #load(ref: string): Promise<boolean> {
    const path = join(this.#directory, ref + EXTENSION);
    const file = this.#files.get(ref) ?? { version: '', profile: undefined, refusal: undefined, timesMissed: 0 };
    file.timesMissed = 0;
    const info = await this.#inspect(path);
    if (info === undefined) return false;
    // Taken before the content is read: a change in between is seen at the next look.
    if (info.version === file.version && file.refusal === undefined) return false;
    file.version = info.version;
    this.#files.set(ref, file);
    const profile = await readProfile(ref, path, info.byteCount);
    file.profile = profile;
    file.refusal = undefined;
    this.#warnOfPlaceholders(path, profile);
    return true;
  }

  async #inspect(path: string): Promise<{ version: string; byteCount: number } | undefined> {
    try {
      const info = await stat(path, { bigint: true });
      if (!info.isFile()) return undefined;
      return {
        version: `${info.dev}:${info.ino}:${info.size}:${info.mtimeNs}:${info.ctimeNs}`,
        byteCount: Number(info.size),
      };
    } catch (cause) {
      throw new AgentProfileError(path, `cannot be read: ${(cause as Error).message}`, { cause });
    }
  }

  async #list(): Promise<string[]> {
    let names: string[];
    try {
      names = await readdir(this.#directory);
    } catch (cause) {
      throw new Error(`AGENTS_DIR is "${this.#directory}", but it cannot be read: ${(cause as Error).message}`, {
        cause,
      });
    }
    return names
      .filter((name) => name.endsWith(EXTENSION) && !name.startsWith('.'))
      .map((name) => name.slice(0, -EXTENSION.length));
  }

  #warnOfPlaceholders(path: string, { instructions, greeting, noInput }: LoadedProfile): void {
    const texts = [instructions, greeting?.say, greeting?.instructions, noInput?.say];
    const placeholders = texts.flatMap((text) => (text === undefined ? [] : unknownPlaceholders(text)));
    if (placeholders.length > 0) {
      this.#log.warn({ file: path, placeholders }, 'agent profile names placeholders that do not exist: left out');
    }
  }
}

async function readProfile(ref: string, path: string, byteCount: number): Promise<LoadedProfile> {
  if (!AGENT_REF.test(ref)) throw new AgentProfileError(path, `"${ref}" cannot be an aiAgentRef: rename the file`);
  if (byteCount > MAX_FILE_BYTES)
    throw new AgentProfileError(path, `has ${byteCount} bytes, more than ${MAX_FILE_BYTES}`);
  let value: unknown;
  try {
    value = JSON.parse((await readFile(path, 'utf8')).replace(/^\uFEFF/, ''));
  } catch (cause) {
    throw new AgentProfileError(path, `is not JSON that can be read: ${(cause as Error).message}`, { cause });
  }
  const profile = checkAgentProfile(value, path);
  checkVariables(profile, path);
  if (profile.filler === undefined) return profile;
  const fillerFile = resolve(dirname(path), profile.filler);
  await checkWavFile(fillerFile, `filler is "${profile.filler}"`, path);
  return { ...profile, fillerFile };
}

/** The environment does not change while the daemon runs, so a variable that is missing now is missing in every call. */
function checkVariables({ tools = [] }: AgentProfile, path: string): void {
  for (const tool of tools) {
    if (tool.type !== 'webhook') continue;
    const missing = headerVariables(tool.headers ?? {}).find((name) => !process.env[name]);
    if (missing === undefined) continue;
    throw new AgentProfileError(
      path,
      `tools.${tool.name} headers name \${${missing}}, which is not set in the environment`,
    );
  }
}

async function checkWavFile(file: string, field: string, path: string): Promise<void> {
  const header = Buffer.alloc(12);
  try {
    await using handle = await open(file, 'r');
    await handle.read(header, 0, header.length, 0);
  } catch (cause) {
    // Not passed on as the cause: that would read as the profile itself being gone.
    throw new AgentProfileError(path, `${field}, but ${(cause as Error).message}`);
  }
  if (header.toString('latin1', 0, 4) !== 'RIFF' || header.toString('latin1', 8) !== 'WAVE') {
    throw new AgentProfileError(path, `${field}, but ${file} is not a WAV file`);
  }
}
