import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readWav } from '../../../src/audio/wav.ts';
import type { AgentProfile } from '../../../src/backend/profiles/agent-profile.ts';
import { http, TestCall } from '../../support/call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway, type TestGatewayOptions } from '../../support/gateway.ts';

const SAMPLE_RATE_HZ = 16_000;
const CHUNK = SAMPLE_RATE_HZ / 10;

/** A number that may be seen nowhere. */
export const CALLER_NUMBER = '393297626144';

/** Speaks only when spoken to, and can transfer and hang up. */
export const BRIEF_PROFILE: AgentProfile = {
  ...QUIET_PROFILE,
  // The list of prices does not have it.
  transcription: { model: 'our-own-ears' },
  tools: [{ type: 'transfer_to_extension' }, { type: 'end_call' }],
  transferExtensions: ['200'],
};

/** A gateway whose calls reconnect at once. */
export function startObserved(options: TestGatewayOptions = {}): Promise<TestGateway> {
  return startGateway({
    ...options,
    env: { BUDGET_PER_DAY: '1000', ...options.env },
    profiles: { brief: BRIEF_PROFILE, ...options.profiles },
    overrides: { reconnect: { firstBackoffMs: 5, maxBackoffMs: 20 }, ...options.overrides },
  });
}

/** Part of a recorded call, in seconds. */
export function spoken(name: string, from: number, to: number): Int16Array {
  const file = fileURLToPath(new URL(`../../../fixtures/calls/${name}.wav`, import.meta.url));
  return readWav(readFileSync(file)).samples.subarray(from * SAMPLE_RATE_HZ, to * SAMPLE_RATE_HZ);
}

/** Sends samples and a second of silence, as fast as the gateway takes them. */
export async function say(call: TestCall, samples: Int16Array): Promise<void> {
  for (const part of [samples, new Int16Array(SAMPLE_RATE_HZ)]) {
    for (let start = 0; start < part.length; start += CHUNK) {
      const chunk = part.subarray(start, start + CHUNK);
      await call.send(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    }
  }
}

/** A call with the greeting, a question and its answer. */
export async function askingCall(gateway: TestGateway, callId: string, headers = {}): Promise<TestCall> {
  const call = new TestCall(gateway.url, callId, headers);
  await call.create({ callerNumber: CALLER_NUMBER, did: '5406594427' });
  await call.pollUntil(({ lines }) => lines.length > 0);
  await say(call, spoken('order-status-16k', 3.5, 7));
  await call.pollUntil(({ lines }) => lines.length >= 3);
  await call.end();
  return call;
}

/** A caller who talks over a long answer and is put through to a person. */
export async function interruptingCall(gateway: TestGateway, callId: string, headers = {}): Promise<TestCall> {
  const call = new TestCall(gateway.url, callId, headers);
  await call.create({ aiAgentRef: 'brief', callerNumber: CALLER_NUMBER });
  await say(call, spoken('interrupter-16k', 3.5, 6));
  await call.pollUntil(({ heard }) => heard.length > 0);
  await say(call, spoken('interrupter-16k', 7, 11));
  await call.pollUntil(({ hasMore }) => !hasMore);
  return call;
}

/** The upstream drops the socket in the middle of the answer. */
export async function droppedCall(gateway: TestGateway, callId: string): Promise<TestCall> {
  gateway.simulator.nextConnection({ drop: { at: 'reply', afterMs: 300 } });
  const call = new TestCall(gateway.url, callId);
  await call.create({ aiAgentRef: 'brief', callerNumber: CALLER_NUMBER });
  await say(call, spoken('order-status-16k', 3.5, 7));
  await untilEvent(call, 'upstream_restored');
  await call.end();
  return call;
}

/** Numbered chunks with a hole, a late one, a repeat and one that is no audio; then the keypad. */
export async function untidyCall(gateway: TestGateway, callId: string): Promise<TestCall> {
  const call = new TestCall(gateway.url, callId);
  const audio = Buffer.alloc(2 * CHUNK).toString('base64');
  await call.create({ aiAgentRef: 'brief', callerNumber: CALLER_NUMBER });
  await call.send({ audio, chunkSeq: 0 });
  await Promise.all([call.send({ audio, chunkSeq: 2 }), untilEvent(call, 'chunks_missing')]);
  await call.send({ audio, chunkSeq: 1 });
  await call.send({ audio, chunkSeq: 2 });
  await call.send({ audio: Buffer.alloc(3).toString('base64'), chunkSeq: 3 });
  await call.send({ dtmf: '12#', chunkSeq: 4 });
  await call.pollUntil(({ heard }) => heard.length > 0);
  await call.end();
  return call;
}

/** What happened on a call. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
export async function eventsOf(call: TestCall): Promise<any> {
  const answer = await http('GET', `${call.base}/api/voice/session/${call.callId}/events`, undefined, call.headers);
  if (answer.status !== 200) throw new Error(`no events: HTTP ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** Waits until something is on a call's timeline. */
export async function untilEvent(call: TestCall, type: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    const { events } = await eventsOf(call);
    if (events.some((event: { type: string }) => event.type === type)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`no ${type} on ${call.callId}`);
}

/** Calls in which everything happens that is measured, requests that go wrong, and what a scrape says then. */
export async function scrapeAfterCalls(gateway: TestGateway, headers: Record<string, string> = {}): Promise<string> {
  await askingCall(gateway, 'call-asking');
  await interruptingCall(gateway, 'call-interrupting');
  await droppedCall(gateway, 'call-dropped');
  await untidyCall(gateway, 'call-untidy');
  const lost = new TestCall(gateway.url, 'no-such-agent');
  await lost.create({ aiAgentRef: 'nobody' });
  await http('GET', `${gateway.url}/api/no/such/route`);
  await http('PROPFIND', `${gateway.url}/health`);
  await http('GET', `${gateway.url}/health`);
  // Workers report when a session ends.
  for (let i = 0; i < 500; i++) {
    const { body } = await http('GET', `${gateway.url}/metrics`, undefined, headers);
    const [, sent = '0'] = /^voice_gateway_uplink_latency_seconds_count (\d+)$/m.exec(body) ?? [];
    if (Number(sent) > 50) return body;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('the session workers never reported');
}
