/**
 * What traces cost: the CPU time of making, encoding and sending the spans of calls of twenty turns, to a receiver in a
 * process of its own. `npx node bench/traces.ts`
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { traceContext } from '../src/traces/context.ts';
import { OtlpSpans } from '../src/traces/otlp.ts';
import type { TracedCall } from '../src/traces/traced-call.ts';

const CALLS = 150;
const TURNS = 20;
const ROUNDS = 5;
const HOPS = ['response_started', 'first_delta', 'in_outbox', 'handed_over'];

function call(): TracedCall {
  return {
    context: traceContext({}, true)!,
    startedAtMs: Date.now() - 180_000,
    durationMs: 180_000,
    attributes: { 'voice.call_id': 'call', 'voice.tenant': 'acme', 'gen_ai.request.model': 'gpt-realtime-2.1' },
    turns: Array.from({ length: TURNS }, (_, turn) => ({
      turn: turn + 1,
      trigger: 'speech',
      atMs: turn * 9_000,
      speechMs: 1_800,
      hops: HOPS.map((hop, step) => ({ hop, atMs: turn * 9_000 + step * 160, tookMs: 160 })),
      latencyMs: 640,
      status: 'completed',
    })),
    events: Array.from({ length: 3 * TURNS }, (_, index) => ({ atMs: index * 3_000, type: 'speech_started' })),
  };
}

async function receive(): Promise<void> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.send!((server.address() as AddressInfo).port);
}

async function measure(): Promise<void> {
  const receiver = fork(import.meta.filename, ['receiver']);
  const [port] = (await once(receiver, 'message')) as [number];
  const results: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    let exported = 0;
    const spans = new OtlpSpans({
      endpoint: `http://127.0.0.1:${port}`,
      headers: '',
      serviceName: 'bench',
      version: '0',
      onSpans: (outcome, count) => {
        if (outcome === 'exported') exported += count;
      },
      onReceiver() {},
    });
    const calls = Array.from({ length: CALLS }, call);
    const before = process.cpuUsage();
    for (const one of calls) spans.take(one);
    await spans.close();
    const { user, system } = process.cpuUsage(before);
    if (exported !== CALLS * (TURNS + 1)) throw new Error(`${exported} spans of ${CALLS * (TURNS + 1)} arrived`);
    // The first is cold.
    if (round > 0) results.push((user + system) / 1000 / CALLS);
  }
  receiver.kill();
  const best = Math.min(...results);
  const share = (100 * best) / 180_000;
  process.stdout.write(
    `${best.toFixed(2)} ms of CPU a call of ${TURNS} turns: ${share.toFixed(4)} % of a core over its 3 minutes\n`,
  );
}

await (process.argv[2] === 'receiver' ? receive() : measure());
