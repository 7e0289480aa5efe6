import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Logger, pino } from 'pino';
import type { AgentProfile } from '../../src/backend/profiles/agent-profile.ts';
import { readConfig } from '../../src/config/config.ts';
import { type Daemon, type DaemonOverrides, startDaemon } from '../../src/main/daemon.ts';
import { RealtimeSimulator } from '../../src/simulator/server.ts';

type SimulatorOptions = Parameters<typeof RealtimeSimulator.listen>[0];

export interface TestGateway {
  readonly url: string;
  readonly daemon: Daemon;
  readonly simulator: RealtimeSimulator;
  /** A folder that is removed with the gateway. */
  readonly folder: string;
  stop(): Promise<void>;
}

export interface TestGatewayOptions {
  readonly env?: Record<string, string>;
  readonly simulator?: SimulatorOptions;
  /** Profiles beside the one that ships, by name. */
  readonly profiles?: Record<string, AgentProfile>;
  readonly overrides?: DaemonOverrides;
  /** Default: silent, or at `TEST_LOG_LEVEL`. */
  readonly log?: Logger;
}

/** A profile without anything that speaks or ends by itself. */
export const QUIET_PROFILE: AgentProfile = {
  instructions: 'Answer.',
  turnDetection: { type: 'server_vad', threshold: 0.5, prefixPaddingMs: 300, silenceDurationMs: 500 },
};

/** A daemon on a free port, with a simulator in this process as its upstream: real sockets, real threads. */
export async function startGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const folder = mkdtempSync(join(tmpdir(), 'voice-gateway-'));
  const agents = fileURLToPath(new URL('../../agents', import.meta.url));
  let agentsDir = agents;
  if (options.profiles) {
    agentsDir = join(folder, 'agents');
    const { mkdirSync, copyFileSync } = await import('node:fs');
    mkdirSync(agentsDir);
    copyFileSync(join(agents, 'customer-care-voice.json'), join(agentsDir, 'customer-care-voice.json'));
    for (const [name, profile] of Object.entries(options.profiles)) {
      writeFileSync(join(agentsDir, `${name}.json`), JSON.stringify(profile));
    }
  }
  const simulator = await RealtimeSimulator.listen({
    responseDelayMs: 20,
    transcriptionDelayMs: 20,
    ...options.simulator,
  });
  const config = readConfig({
    PORT: '0',
    OPENAI_REALTIME_URL: simulator.url,
    OPENAI_API_KEY: 'test-key-of-the-simulator',
    AGENTS_DIR: agentsDir,
    DATA_DIR: join(folder, 'data'),
    SPARE_SESSION_WORKERS: '1',
    // Tests share their cores with others: being late is no overload here.
    OVERLOAD_EVENT_LOOP_MS: '60000',
    ...options.env,
  });
  const daemon = await startDaemon(
    config,
    options.log ?? pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' }),
    options.overrides,
  );
  return {
    url: daemon.url,
    daemon,
    simulator,
    folder,
    async stop() {
      await daemon.stop();
      await simulator.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
