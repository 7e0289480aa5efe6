/**
 * Makes a history of calls as large as is wanted and measures it: the size of its file, a start, searches of every kind.
 *
 *     npx node scripts/make-history.ts DIRECTORY --calls 100000
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { CallSearch, HistoryCall } from '../src/store/records.ts';
import { Store } from '../src/store/store.ts';
import { wordsOf } from '../src/store/words.ts';

const TENANTS = 20;
const AGENTS = ['customer-care-voice', 'sales', 'reservations', 'night-desk'];
const VOCABULARY = 4_000;
const TURNS = 8;
const BATCH = 500;
const EVERY_MS = 25_000;
const HOPS = ['response_started', 'first_delta', 'in_outbox', 'handed_over'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { calls: { type: 'string', default: '100000' } },
});
const [directory] = positionals;
if (directory === undefined) throw new Error('say in which directory: it is to be empty');
const count = Number(values.calls);

/** Words as often as people use them: the first in every call, the last in hardly any. */
function word(): string {
  return `wort${Math.floor(VOCABULARY ** Math.random()) - 1}`;
}

function sentence(): string {
  return Array.from({ length: 6 + Math.floor(Math.random() * 12) }, word).join(' ');
}

function call(index: number): HistoryCall {
  const startedAtMs = Date.now() - (count - index) * EVERY_MS;
  const transcript = Array.from({ length: 2 * TURNS }, (_, n) => `${n % 2 ? '[AI]' : '[User]'}: ${sentence()}`);
  const turns = Array.from({ length: TURNS }, (_, n) => {
    const atMs = n * 9_000 + 412.7;
    const hops = HOPS.map((hop, step) => ({ hop, atMs: atMs + step * 161.3, tookMs: 161.3 }));
    return { turn: n + 1, trigger: 'speech', atMs, speechMs: 1_871.4, hops, latencyMs: 645.2, status: 'completed' };
  });
  const figures = {
    turns: TURNS,
    interruptions: 1,
    reconnects: 0,
    toolCalls: 1,
    setupMs: 212,
    medianTurnMs: 645,
    tokens: {
      input_text: 269,
      input_audio: 707,
      cached_text: 941,
      cached_audio: 2_581,
      output_text: 147,
      output_audio: 783,
    },
    audioSeconds: { up: 72.4, down: 51.2 },
    droppedChunks: 0,
    droppedAudioMs: 0,
  };
  const actions = [{ name: 'look_up_order', arguments: { order: index }, outcome: 'ok', durationMs: 212 }];
  return {
    tenantId: `tenant-${index % TENANTS}`,
    callId: `call-${index}`,
    aiAgentRef: AGENTS[index % AGENTS.length]!,
    outcome: index % 500 === 0 ? 'upstream_failed' : index % 3 === 0 ? 'transferred' : 'completed',
    storeId: null,
    callerNumber: `+3932${String((index * 7_919) % 10_000_000).padStart(7, '0')}`,
    didNumber: '5406594427',
    transferredTo: null,
    encoding: 'pcmu',
    sampleRateHz: 8_000,
    startedAtMs,
    endedAtMs: startedAtMs + 80_000,
    durationMs: 80_000,
    turnCount: TURNS,
    medianTurnMs: 645,
    interruptionCount: 1,
    reconnectCount: 0,
    toolCallCount: 1,
    faultCount: 0,
    model: 'gpt-realtime-2.1',
    cost: null,
    details: JSON.stringify({ transcript, actions, turns, faults: [], figures }),
    words: wordsOf(transcript),
  };
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function timed<T>(use: () => T): { ms: number; result: T } {
  const startedAtMs = performance.now();
  const result = use();
  return { ms: performance.now() - startedAtMs, result };
}

const options = { directory, retentionDays: 3650, note: ({ message }: { message: string }) => say(message) };
const filled = Store.open(options);
const { ms: fillMs } = timed(() => {
  for (let first = 0; first < count; first += BATCH) {
    const indexes = Array.from({ length: Math.min(BATCH, count - first) }, (_, n) => first + n);
    filled.write(
      indexes.map((index) => ({ id: `session-${index}`, call: call(index), summaryState: 'delivered' })),
      [],
    );
  }
});
filled.sweep();
const bytes = filled.byteCount;
filled.close();
say(
  `${count} calls of ${TURNS} turns in ${(fillMs / 1000).toFixed(0)} s: ${(bytes / 1e6).toFixed(0)} MB, ${Math.round(bytes / count)} bytes a call (${availableParallelism()} cores)`,
);

const { ms: startMs, result: store } = timed(() => Store.open(options));
say(`start: ${startMs.toFixed(0)} ms`);

const longAgo = Date.now() - count * EVERY_MS * 0.98;
const searches: Record<string, Omit<CallSearch, 'limit'>> = {
  'the newest': {},
  'a tenant': { tenantId: 'tenant-3' },
  'a tenant, an agent, an outcome': { tenantId: 'tenant-3', agent: 'night-desk', outcome: 'transferred' },
  'an outcome that is rare': { outcome: 'upstream_failed' },
  'two that never meet': { tenantId: 'tenant-3', outcome: 'upstream_failed' },
  'a word of every call': { q: 'wort0' },
  'the same, long ago': { q: 'wort0', toMs: longAgo },
  'five common words': { q: 'wort0 wort1 wort2 wort3 wort4' },
  'the same and a tenant': { q: 'wort0 wort1 wort2 wort3 wort4', tenantId: 'tenant-3' },
  'sixteen words': { q: Array.from({ length: 16 }, (_, n) => `wort${n * 10}`).join(' ') },
  'a rare word': { q: 'wort3900' },
  'a word nobody said': { q: 'refund' },
  'common words that never meet': { q: 'wort0 wort3801 wort3802 wort3803' },
  'the last two digits': { q: '19' },
  'the last four digits, a tenant': { q: '7919', tenantId: 'tenant-1' },
  'a callId': { q: 'call-777' },
  'a month, long ago': { fromMs: longAgo - 30 * 86_400_000, toMs: longAgo },
};
let worstMs = 0;
for (const [what, search] of Object.entries(searches)) {
  const { ms, result } = timed(() => store.search({ ...search, limit: 50 }, 'masked'));
  worstMs = Math.max(worstMs, ms);
  say(
    `${ms.toFixed(1).padStart(8)} ms  ${what}: ${result.calls.length}${result.nextCursor === undefined ? '' : ' and more'}`,
  );
}
const { ms: exportMs } = timed(() => store.export({ limit: 100 }, 'masked', 'jsonl', 'make-history'));
say(`${exportMs.toFixed(1).padStart(8)} ms  a page of an export`);
store.close();
say(`the slowest search took ${worstMs.toFixed(0)} ms; ${join(directory, 'calls.sqlite')} stays`);
