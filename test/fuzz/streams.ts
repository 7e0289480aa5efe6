import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { processRssBytes } from '../../loadtest/gateway-watch.ts';
import { startDaemonProcess } from '../support/daemon-process.ts';
import { Random } from './random.ts';
import { MISHAPS, type Mishap, REFUSED, StreamClient } from './stream-clients.ts';

/** Calls whose caller says nothing end after this long. */
const IDLE_MS = 3_000;
/** For what is left to end: an idle call's time, and the minute for which an ended one keeps what nobody has fetched. */
const SETTLE_MS = 90_000;
const GIVEN_UP_AFTER_MS = 6_000;
/** Handles that the daemon may have more than before: of its own upkeep. */
const SPARE_HANDLES = 12;

export interface StreamsResult {
  readonly clients: number;
  /** How often each mishap came, and each refusal. */
  readonly byMishap: Readonly<Record<string, number>>;
  /** Open handles of the process, before and after; undefined where /proc does not say. */
  readonly handles: { readonly before: number; readonly after: number } | undefined;
  /** Resident memory after the first fifth and at the end, when all calls are over. */
  readonly rssBytes: { readonly early: number; readonly end: number } | undefined;
  readonly failures: readonly string[];
}

export interface StreamsOptions {
  /** Clients at the same time. */
  readonly together?: number;
  /** Waits until calls that are over have been forgotten as well, which takes more than a minute. */
  readonly untilForgotten?: boolean;
  readonly onProgress?: (done: number) => void;
}

/**
 * Has clients of streamed calls break, vanish, misbehave and come twice, `together` at a time, against a daemon in a
 * process of its own; then waits until their calls are over, and looks at what is left of them.
 */
export async function fuzzStreams(
  clients: number,
  seed: number,
  { together = 40, untilForgotten = true, onProgress = () => {} }: StreamsOptions = {},
): Promise<StreamsResult> {
  const failures: string[] = [];
  const byMishap: Record<string, number> = {};
  const daemon = await startDaemonProcess({
    SESSION_WORKERS: '2',
    SESSION_IDLE_TIMEOUT_MS: String(IDLE_MS),
    FIRST_AUDIO_TIMEOUT_MS: String(IDLE_MS),
    MAX_SESSIONS: '1000',
  });
  const { url, child } = daemon;
  const handles = () => count(`/proc/${child.pid}/fd`);
  const abandoned: StreamClient[] = [];
  const names = Object.keys(MISHAPS) as Mishap[];
  /** What is still going on; those that end keep what nobody has fetched for a minute. */
  const left = async (areEndingOnes: boolean): Promise<string> => {
    const { sessions } = (await (await fetch(`${url}/api/voice/sessions`)).json()) as {
      sessions: { status: string }[];
    };
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const streams = metrics
      .split('\n')
      .filter((line) => line.startsWith('voice_gateway_duplex_connections') && !line.endsWith(' 0'));
    const open = sessions.filter(({ status }) => areEndingOnes || status !== 'ending').length;
    return [...(open > 0 ? [`${open} sessions`] : []), ...streams].join(', ');
  };
  const settle = async (areEndingOnes: boolean) => {
    const endsAtMs = performance.now() + SETTLE_MS;
    for (let what = await left(areEndingOnes); what !== ''; what = await left(areEndingOnes)) {
      if (performance.now() > endsAtMs) return failures.push(`left after ${SETTLE_MS / 1_000} s: ${what}`);
      await sleep(200);
    }
    return undefined;
  };
  const one = async (index: number): Promise<void> => {
    const choice = new Random(seed + index);
    if (choice.chance(0.1)) {
      const { query, type, status } = choice.pick(REFUSED);
      const path = `/api/voice/stream/refused-${index}/duplex?create=1&${query}`;
      const client = new StreamClient(url, path, type, choice);
      await Promise.race([once(client), sleep(GIVEN_UP_AFTER_MS)]);
      if (client.status !== status) failures.push(`${query} ${type}: ${client.status} instead of ${status}`);
      client.socket.destroy();
      byMishap['refused'] = (byMishap['refused'] ?? 0) + 1;
      return;
    }
    const mishap = choice.pick(names);
    byMishap[mishap] = (byMishap[mishap] ?? 0) + 1;
    const path = `/api/voice/stream/call-${index}/duplex?create=1`;
    const open = () => new StreamClient(url, path, 'audio/pcmu', choice);
    const client = open();
    const second = choice.chance(0.15) ? open() : undefined;
    const over = Promise.all([client, second].map((each) => each && MISHAPS[mishap](each)));
    await Promise.race([over, sleep(GIVEN_UP_AFTER_MS + IDLE_MS)]);
    for (const each of [client, second]) {
      if (each?.isAbandoned) abandoned.push(each);
      else each?.socket.destroy();
    }
  };
  try {
    let next = 0;
    let done = 0;
    const idle = handles();
    const run = async (until: number) => {
      const lane = async () => {
        while (next < until) {
          await one(next++);
          onProgress(++done);
        }
      };
      await Promise.all(Array.from({ length: Math.min(together, until - next) }, lane));
      await settle(false);
    };
    await run(Math.ceil(clients / 5));
    const early = processRssBytes(child.pid!) ?? 0;
    // What threads and connections to the upstream open once belongs to the first calls, not to what was left behind.
    const before = Math.max(idle ?? 0, handles() ?? 0);
    await run(clients);
    if (untilForgotten) await settle(true);
    for (const client of abandoned) client.socket.destroy();
    const after = await lowest(handles, before);
    const end = processRssBytes(child.pid!) ?? 0;
    if (after !== undefined && after > before + SPARE_HANDLES) failures.push(`${after} handles, ${before} before`);
    if ((await fetch(`${url}/health`)).status !== 200) failures.push('/health is not well');
    const code = await daemon.end('SIGTERM');
    if (code !== 0) failures.push(`the daemon ended with ${code}: ${daemon.lines.slice(-5).join('\n')}`);
    return {
      clients,
      byMishap,
      handles: after === undefined ? undefined : { before, after },
      rssBytes: end === 0 ? undefined : { early, end },
      failures,
    };
  } finally {
    await daemon.end('SIGKILL');
  }
}

function once({ socket }: StreamClient): Promise<void> {
  return new Promise((resolve) => {
    socket.once('data', () => resolve());
    socket.once('close', () => resolve());
  });
}

function count(directory: string): number | undefined {
  try {
    return readdirSync(directory).length;
  } catch {
    return undefined;
  }
}

/** A count that comes down to `target` soon, or what it is then. */
async function lowest(value: () => number | undefined, target: number): Promise<number | undefined> {
  for (let i = 0; i < 50 && (value() ?? 0) > target; i++) await sleep(100);
  return value();
}
