/** What a call costs us and avr-sts-openai, in turns on one machine, behind the same simulator with the same audio. */
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startProcess } from '../loadtest/child.ts';
import { buildIfNeeded, startSimulator, startStack } from '../loadtest/stack.ts';
import type { Encoding } from '../src/audio/codec.ts';
import { markdownTable, median, times } from './support/measure.ts';
import type { Section } from './support/page.ts';
import { type PeerContender, peerTurn, type Subject, type TurnResult } from './support/peer-turn.ts';

export const PEER_TITLE = 'Beside avr-sts-openai';

const SESSION_WORKERS = 2;
/** Deltas of the simulator, as long as those of the real service are. */
const DELTA_MS = 200;
const DUPLEX = { leadMs: 120, frameMs: 60, tickMs: 40 };

export interface PeerOptions {
  /** Folder with avr-sts-openai and its dependencies, of the user's. */
  readonly avrDir: string;
  /** Calls at the same time, in turns. */
  readonly calls: readonly number[];
  /** Turns of each contender at each number of calls. */
  readonly rounds: number;
  /** Measured a turn. */
  readonly seconds: number;
  /** Of our calls; the peer knows PCM16 of 8 kHz alone. */
  readonly encoding: Encoding;
  readonly onTurn?: (text: string) => void;
}

interface PeerRow {
  readonly calls: number;
  readonly name: string;
  readonly turns: readonly TurnResult[];
}

/** @throws {Error} when the folder has no peer in it, or a contender does not come up */
export async function benchPeer(options: PeerOptions): Promise<Section> {
  const { calls, rounds, seconds, onTurn } = options;
  buildIfNeeded();
  const contenders = contendersOf(options);
  const rows: PeerRow[] = [];
  for (const count of calls) {
    const turns = contenders.map((): TurnResult[] => []);
    for (let round = 0; round < rounds; round++) {
      for (const [i, contender] of contenders.entries()) {
        const result = await peerTurn(contender, count, seconds);
        turns[i]!.push(result);
        onTurn?.(`${count} calls, ${contender.name}: ${turnText(result)}`);
      }
    }
    rows.push(...contenders.map(({ name }, i) => ({ calls: count, name, turns: turns[i]! })));
  }
  return { title: PEER_TITLE, text: methodOf(options), table: tableOf(rows) };
}

function contendersOf({ avrDir, encoding }: PeerOptions): PeerContender[] {
  const format = { encoding, sampleRateHz: 8_000 } as const;
  const startAvr = () => startPeer(resolve(avrDir));
  return [
    {
      name: 'avr-sts-openai',
      start: startAvr,
      calls: {
        mode: 'duplex',
        chunkMs: 20,
        body: 'raw',
        format: { encoding: 'pcm16', sampleRateHz: 8_000 },
        duplex: { ...DUPLEX, foreignPath: '/speech-to-speech-stream' },
      },
    },
    {
      name: 'ours, duplex',
      start: startOurs,
      calls: { mode: 'duplex', chunkMs: 20, body: 'raw', format, duplex: DUPLEX },
    },
    {
      name: 'ours, a request a chunk',
      start: startOurs,
      calls: { mode: 'poll1', chunkMs: 100, body: 'json', format, duplex: DUPLEX },
    },
  ];
}

async function startOurs(calls: number): Promise<Subject> {
  const { gateway, apiKey, aiAgentRef, stop } = await startStack({
    simulatorMode: 'loopback',
    deltaMs: DELTA_MS,
    sessionWorkers: SESSION_WORKERS,
    audioThreads: undefined,
    calls,
    tls: false,
    nodeArgs: [],
  });
  return {
    origin: new URL(gateway.url).origin,
    headers: { 'x-api-key': apiKey },
    aiAgentRef,
    pid: gateway.pid,
    lines: gateway.lines,
    stop,
  };
}

/** The peer as it is; only its WebSockets are led to the simulator. */
async function startPeer(folder: string): Promise<Subject> {
  const main = join(folder, 'index.js');
  if (!existsSync(main) || !existsSync(join(folder, 'node_modules'))) {
    throw new Error(`${folder} has no avr-sts-openai with its dependencies: no index.js or no node_modules`);
  }
  const simulator = await startSimulator(['--dialect', 'beta', '--mode', 'loopback', '--delta', String(DELTA_MS)]);
  try {
    const port = await freePort();
    const peer = await startProcess({
      name: 'avr-sts-openai',
      args: ['--import', fileURLToPath(new URL('./support/peer-upstream.ts', import.meta.url)), main],
      env: { PORT: String(port), OPENAI_API_KEY: 'bench', PEER_UPSTREAM_URL: simulator.url },
      url: /running on port (\d+)/,
    });
    const stop = async () => {
      await peer.stop();
      await simulator.stop();
    };
    return {
      origin: `http://127.0.0.1:${port}`,
      headers: {},
      aiAgentRef: undefined,
      pid: peer.pid,
      lines: peer.lines,
      stop,
    };
  } catch (error) {
    await simulator.stop();
    throw error;
  }
}

/** The peer takes a number and does not say which one it got. */
function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const server = createServer();
    server.once('error', failed);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => found(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

function methodOf({ seconds, rounds, encoding }: PeerOptions): string {
  return [
    'One streamed request a call and no more than that: linear resampling, no recovery, no pacing. Contenders take turns,',
    `${rounds === 1 ? 'one' : rounds} of ${seconds} s each at each number of calls, with new processes; CPU is that of the server's process, in % of one core;`,
    'memory is what it has more than before the first call. All play the same recording and hear themselves, from the simulator,',
    `in deltas of ${DELTA_MS} ms; callers and simulator run on the same machine. Ours has \`SESSION_WORKERS=${SESSION_WORKERS}\` and`,
    `${encoding === 'pcm16' ? 'PCM16' : 'G.711'} of 8 kHz, avr-sts-openai PCM16 of 8 kHz; streamed calls write 20 ms at a time, requests have 100 ms.`,
  ].join('\n');
}

function tableOf(rows: readonly PeerRow[]): string {
  return markdownTable(
    ['calls', 'server', 'CPU a call', 'of the peer', 'memory a call', 'of the peer', 'heard', 'errors'],
    rows.map(({ calls, name, turns }) => {
      const peer = rows.find((row) => row.calls === calls)!.turns;
      const of = (from: readonly TurnResult[], value: (turn: TurnResult) => number) => median(from.map(value));
      const cpu = ({ cpuPercentPerCall }: TurnResult) => cpuPercentPerCall;
      const rss = ({ rssMbPerCall }: TurnResult) => rssMbPerCall;
      return [
        String(calls),
        name,
        `${of(turns, cpu).toFixed(3)} %`,
        times(of(turns, cpu) / of(peer, cpu)),
        `${of(turns, rss).toFixed(2)} MB`,
        times(of(turns, rss) / of(peer, rss)),
        `${(100 * of(turns, ({ heardShare }) => heardShare)).toFixed(0)} %`,
        errorText(turns),
      ];
    }),
  );
}

function errorText(turns: readonly TurnResult[]): string {
  const count = turns.reduce((sum, { errors }) => sum + Object.values(errors).reduce((all, n) => all + n, 0), 0);
  return String(count);
}

function turnText({ cpuPercentPerCall, rssMbPerCall, heardShare, errors, latenessP99Ms }: TurnResult): string {
  const failed = Object.entries(errors).map(([code, count]) => `, ${code} × ${count}`);
  return (
    `${cpuPercentPerCall.toFixed(3)} % of a core and ${rssMbPerCall.toFixed(2)} MB a call, ` +
    `heard ${(100 * heardShare).toFixed(0)} %, sent late by p99 ${latenessP99Ms.toFixed(1)} ms${failed.join('')}`
  );
}
