import type { BackendLog } from '../log.ts';
import { type AgentState, type LoadedProfile, ProfileFiles } from './profile-files.ts';
import { type MergedProfile, mergeRemote, type RemoteFields } from './remote-answer.ts';
import { RemoteProfiles, type RemoteProfilesOptions } from './remote-profiles.ts';

export type { LoadedProfile } from './profile-files.ts';
export type { RemoteProfilesOptions } from './remote-profiles.ts';

export interface AgentProfilesOptions {
  /** `AGENTS_DIR`: `<aiAgentRef>.json` files. */
  readonly directory: string;
  /** Absent: there are only local profiles. */
  readonly remote?: RemoteProfilesOptions | undefined;
  readonly log: BackendLog;
  /** How often the directory is looked at for changes; default 2000. */
  readonly pollIntervalMs?: number;
}

interface Merge extends MergedProfile {
  readonly own: LoadedProfile | undefined;
  readonly fallback: LoadedProfile | undefined;
}

/** The agents that calls can ask for: local files, and over them what the W3 backend says. Whoever opens it closes it. */
export class AgentProfiles {
  readonly #files: ProfileFiles;
  readonly #remote: RemoteProfiles | undefined;
  readonly #defaultRef: string | undefined;
  readonly #log: BackendLog;
  /** Answers are merged once, for as long as neither they nor the files change. */
  readonly #merges = new WeakMap<RemoteFields, Merge>();

  private constructor(files: ProfileFiles, { remote, log }: AgentProfilesOptions) {
    this.#files = files;
    this.#remote = remote && new RemoteProfiles(remote, log);
    this.#defaultRef = remote?.defaultRef;
    this.#log = log;
  }

  /**
   * Reads and checks every local profile. The backend is not asked.
   * @throws {AgentProfileError} naming the file and the field, when a local profile is bad
   * @throws {AggregateError} of those, a line of its message for each, when several are
   * @throws {Error} when the directory cannot be read
   */
  static async open(options: AgentProfilesOptions): Promise<AgentProfiles> {
    return new AgentProfiles(await ProfileFiles.open(options), options);
  }

  /** How each local profile is. */
  get agents(): AgentState[] {
    return this.#files.states;
  }

  /** Whether the W3 backend failed when it was last asked. */
  get isBackendFailing(): boolean {
    return this.#remote?.isFailing ?? false;
  }

  /** Names of the local profiles. */
  get localRefs(): string[] {
    return this.#files.refs;
  }

  /**
   * The profile of an agent. With a backend this waits for it at most `waitMs`; when it fails, its last answer is used
   * (up to `staleMs` old), else the local profile.
   * @returns undefined when neither the backend nor a file has it
   * @throws the signal's reason
   */
  async get(ref: string, tenantId: string, signal?: AbortSignal): Promise<LoadedProfile | undefined> {
    const fields = await this.#remote?.get(ref, tenantId, signal);
    const own = this.#files.get(ref);
    return fields ? (this.#merge(fields, ref, tenantId, own).profile ?? own) : own;
  }

  close(): void {
    this.#files.close();
    this.#remote?.close();
  }

  #merge(fields: RemoteFields, ref: string, tenantId: string, own: LoadedProfile | undefined): Merge {
    const fallback = this.#defaultRef === undefined ? undefined : this.#files.get(this.#defaultRef);
    const known = this.#merges.get(fields);
    if (known && known.own === own && known.fallback === fallback) return known;
    const merge = { ...mergeRemote(fields, own, fallback, `of the W3 backend, ${ref}`), own, fallback };
    this.#merges.set(fields, merge);
    const { problems } = merge;
    if (problems.length > 0) {
      const what = merge.profile ? 'parts of it are not used' : 'it is not used';
      this.#log.warn({ agent: ref, tenantId, problems }, `agent profile of the W3 backend: ${what}`);
    }
    return merge;
  }
}
