import { openSync } from 'node:fs';
import { pino } from 'pino';
import { createLog } from '../../src/main/log.ts';
import { Metrics } from '../../src/metrics/metrics.ts';

/** What taking note of one thing costs. */
export interface NoteCost {
  readonly what: string;
  /** CPU time of one, in microseconds: the best of several rounds, which others on the machine disturb least. */
  readonly micros: number;
  /** How often it happens on one full-duplex call with 100 ms chunks and `poll=1`, a second, at most. */
  readonly perCallSecond: number;
}

const ROUNDS = 7;

function cost(what: string, perCallSecond: number, times: number, note: (index: number) => void): NoteCost {
  for (let i = 0; i < times / 4; i++) note(i);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let i = 0; i < times; i++) note(i);
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / times);
  }
  return { what, micros: best, perCallSecond };
}

/** Each kind of note that comes with chunks, deltas or answers, and the longest log line. */
export function noteCosts(): NoteCost[] {
  const metrics = new Metrics();
  const log = createLog({
    level: 'info',
    secrets: ['a-key-of-the-daemon', 'another-one-of-them'],
    destination: pino.destination({ fd: openSync('/dev/null', 'w'), sync: true }),
  }).child({ callId: 'call-4711', tenantId: 'default' });
  const labels = { method: 'POST', route: '/api/voice/stream/:callId', status: '200' };
  const tokens = {
    input_text: 205,
    input_audio: 44,
    cached_text: 0,
    cached_audio: 0,
    output_text: 20,
    output_audio: 125,
  };
  const ended = { endReason: 'completed', durationMs: 60_000, turns: 5, interruptions: 1, tokens, medianTurnMs: 640 };
  return [
    cost('a request', 10, 300_000, (i) => metrics.httpRequest.observe(labels, (i % 100) / 1000)),
    cost('seconds of audio', 27, 300_000, () => metrics.audioSeconds.inc('up', 0.1)),
    cost('a latency', 15, 300_000, (i) => metrics.downlinkLatency.observe((i % 100) / 10_000)),
    cost('a batch of the audio pool', 15, 300_000, (i) =>
      metrics.audioPoolTask.observe({ task: 'up' }, (i % 100) / 10_000),
    ),
    // Some six lines a call: one in ten seconds for calls of a minute.
    cost('a log line', 0.1, 30_000, () => log.info(ended, 'call ended')),
  ];
}
