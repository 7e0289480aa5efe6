import { execFileSync, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type StartedProcess, startProcess } from './child.ts';
import type { SpeechMark } from './protocol.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What the simulator answers with. */
export type SimulatorMode = 'loopback' | 'echo' | 'scripted';

export interface StackOptions {
  readonly simulatorMode: SimulatorMode;
  /** Shortest audio of the simulator's deltas in loopback; 0: one for each chunk. */
  readonly deltaMs: number;
  readonly sessionWorkers: 'dedicated' | number;
  readonly audioThreads: number | undefined;
  /** Calls at the same time, for the gateway's limit. */
  readonly calls: number;
  /** The upstream speaks wss. */
  readonly tls: boolean;
  /** Arguments of the gateway's `node`, such as `--cpu-prof`. */
  readonly nodeArgs: readonly string[];
  /** Told when the simulator hears a caller begin to speak; absent: it does not say. */
  readonly onSpeech?: ((mark: SpeechMark) => void) | undefined;
}

/** A gateway and its upstream, each in a process of its own, on free ports of the loopback interface. */
export interface Stack {
  readonly gateway: StartedProcess;
  readonly simulator: StartedProcess;
  readonly apiKey: string;
  /** With what the gateway hashes callers' numbers for the simulator. */
  readonly callerHash: { readonly key: string; readonly tenantId: string };
  /** The profile that calls are to name. */
  readonly aiAgentRef: string;
  stop(): Promise<void>;
}

/** Compiles the gateway where its sources are newer than the last build. @throws {Error} when that fails */
export function buildIfNeeded(): void {
  const { status, error } = spawnSync(process.execPath, ['scripts/build.ts', '--if-needed'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (error) throw error;
  if (status !== 0) throw new Error('the gateway could not be built');
}

/** Starts a simulator from the last build, on a free port. @throws {Error} when it does not come up */
export function startSimulator(args: readonly string[], onLine?: (line: string) => void): Promise<StartedProcess> {
  return startProcess({
    name: 'the simulator',
    args: [join(root, 'dist/simulator/cli.js'), '--port', '0', '--log-level', 'info', ...args],
    url: /"url":"(wss?:[^"]+)".*listening/,
    onLine,
  });
}

/** Starts simulator and gateway from the last build. @throws {Error} when one of them does not come up */
export async function startStack(options: StackOptions): Promise<Stack> {
  const folder = mkdtempSync(join(tmpdir(), 'voice-gateway-load-'));
  const started: StartedProcess[] = [];
  const stop = async () => {
    // The gateway first: its calls are not to see their upstream go.
    for (let last = started.pop(); last; last = started.pop()) await last.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const tls = options.tls ? makeCertificate(folder) : undefined;
    const { onSpeech } = options;
    const simulator = await startSimulator(
      [
        ...['--mode', options.simulatorMode, '--delta', String(options.deltaMs)],
        ...(tls ? ['--tls-cert', tls.cert, '--tls-key', tls.key] : []),
        ...(onSpeech ? ['--log-speech'] : []),
      ],
      onSpeech && ((line) => tellSpeech(line, onSpeech)),
    );
    started.push(simulator);
    const apiKey = randomUUID();
    const callerHash = { key: randomUUID(), tenantId: 'default' };
    const gateway = await startProcess({
      name: 'the gateway',
      args: [...options.nodeArgs, join(root, 'dist/main/cli.js')],
      env: {
        PORT: '0',
        HOST: '127.0.0.1',
        LOG_LEVEL: 'info',
        W3_VOICE_GATEWAY_API_KEY: apiKey,
        API_KEYS_FILE: '',
        W3_API_URL: '',
        CALLER_HASH_KEY: callerHash.key,
        DEFAULT_TENANT_ID: callerHash.tenantId,
        OPENAI_API_KEY: 'load-test',
        OPENAI_REALTIME_URL: simulator.url,
        AGENTS_DIR: makeAgents(folder),
        DEFAULT_AGENT_REF: '',
        DATA_DIR: join(folder, 'data'),
        SESSION_WORKERS: String(options.sessionWorkers),
        AUDIO_THREADS: options.audioThreads === undefined ? '' : String(options.audioThreads),
        MAX_SESSIONS: String(Math.max(500, 2 * options.calls)),
        SHUTDOWN_GRACE_MS: '0',
        ...(tls ? { NODE_EXTRA_CA_CERTS: tls.cert } : {}),
      },
      url: /"url":"(https?:[^"]+)".*"msg":"listening/,
    });
    started.push(gateway);
    const aiAgentRef = options.simulatorMode === 'scripted' ? SCRIPTED_AGENT : QUIET_AGENT;
    return { gateway, simulator, apiKey, callerHash, aiAgentRef, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Reads what the simulator logs with `--log-speech`. */
function tellSpeech(line: string, onSpeech: (mark: SpeechMark) => void): void {
  if (!line.includes('"msg":"speech started"')) return;
  const { caller, atMs } = JSON.parse(line) as Partial<SpeechMark>;
  if (caller !== undefined && atMs !== undefined) onSpeech({ caller, atMs });
}

const SCRIPTED_AGENT = 'customer-care-voice';
const QUIET_AGENT = 'load-test';

/** The profile that ships, and one that neither greets nor does anything else of its own accord. */
function makeAgents(folder: string): string {
  const agents = join(folder, 'agents');
  mkdirSync(agents);
  const file = `${SCRIPTED_AGENT}.json`;
  copyFileSync(join(root, 'agents', file), join(agents, file));
  writeFileSync(join(agents, `${QUIET_AGENT}.json`), JSON.stringify({ instructions: 'Answer.' }));
  return agents;
}

/** A certificate for the loopback address, valid for two days. */
function makeCertificate(folder: string): { cert: string; key: string } {
  const cert = join(folder, 'cert.pem');
  const key = join(folder, 'key.pem');
  try {
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
        ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'],
        ...['-keyout', key, '-out', cert],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
  } catch (cause) {
    throw new Error(`a wss upstream needs a certificate, and openssl cannot make one: ${(cause as Error).message}`, {
      cause,
    });
  }
  return { cert, key };
}
