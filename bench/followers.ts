/**
 * `npm run bench:followers`: what it costs to be followed. 300 calls of a real daemon, each of which changes twice a second, and
 * the processor time of the process while nobody listens, one does, and ten do.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { monotonicNowMs } from '../src/clock.ts';
import { QUIET_PROFILE, startGateway } from '../test/support/gateway.ts';

const CALLS = 300;
const CHANGES_A_SECOND = 2;
const SETTLING_MS = 3_000;
const MEASURED_MS = 15_000;

const gateway = await startGateway({
  env: {
    SESSION_WORKERS: '2',
    DEFAULT_AGENT_REF: 'quiet',
    MAX_SESSIONS: String(CALLS),
    FIRST_AUDIO_TIMEOUT_MS: '3600000',
    SESSION_IDLE_TIMEOUT_MS: '3600000',
  },
  simulator: { mode: 'loopback' },
  profiles: { quiet: QUIET_PROFILE },
  overrides: { connectsPerSecond: 1000 },
});

async function create(callId: string): Promise<void> {
  const answer = await fetch(`${gateway.url}/api/voice/session/create`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ callId, callerNumber: '393297626144', did: '5406594427' }),
  });
  if (!answer.ok) throw new Error(`no call: ${answer.status} ${await answer.text()}`);
}

/** What a call of the daemon is noted, as the AI's events would be. */
interface Noted {
  readonly observer: {
    upstream(event: { type: 'speech_started' | 'speech_stopped'; itemId: string; atMs: number }): void;
  };
}

/** Percent of a core. */
async function measured(): Promise<number> {
  await delay(SETTLING_MS);
  const before = process.cpuUsage();
  const fromMs = monotonicNowMs();
  await delay(MEASURED_MS);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 10 / (monotonicNowMs() - fromMs);
}

function listeners(count: number): ChildProcess[] {
  const url = `${gateway.url}/api/voice/events`;
  return Array.from({ length: count }, () => spawn('curl', ['-sN', '-o', '/dev/null', url], { stdio: 'ignore' }));
}

for (let i = 0; i < CALLS; i += 20) await Promise.all(Array.from({ length: 20 }, (_, j) => create(`call-${i + j}`)));
const calls = [...gateway.daemon.gateway.runningCalls()] as unknown as Noted[];
let at = 0;
const changing = setInterval(() => {
  for (let i = 0; i < (CALLS * CHANGES_A_SECOND) / 10; i++) {
    const type = Math.floor(at / CALLS) % 2 === 0 ? 'speech_started' : 'speech_stopped';
    calls[at++ % CALLS]!.observer.upstream({ type, itemId: 'item', atMs: monotonicNowMs() });
  }
}, 100);
try {
  const nobody = await measured();
  console.log(`${CALLS} calls, nobody listens: ${nobody.toFixed(2)} % of a core`);
  for (const count of [1, 10]) {
    const open = listeners(count);
    const percent = await measured();
    for (const one of open) one.kill();
    console.log(`listeners: ${count}: ${(percent - nobody).toFixed(2)} % of a core more`);
  }
} finally {
  clearInterval(changing);
  await gateway.stop();
}
