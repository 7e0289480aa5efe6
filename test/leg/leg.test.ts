import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AudioFormat } from '../../src/audio/codec.ts';
import { convertWhole } from '../../src/audio/converter.ts';
import { TestCall } from '../support/call.ts';
import { aiLine, eventually, manifest, silence, speech, userLine } from '../support/caller.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';
import { killAllCalls, SwitchCall, type SwitchCallOptions } from './switch/test-switch.ts';

const PCM: AudioFormat = { encoding: 'pcm16', sampleRateHz: 16_000 };

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway({
    env: { SESSION_WORKERS: '1', LEG_PORT: '0', LEG_PORTS: '14000-14999' },
    profiles: { quiet: QUIET_PROFILE },
  });
});
afterEach(() => killAllCalls());
afterAll(() => gateway.stop());

function place(options: SwitchCallOptions = {}): Promise<SwitchCall> {
  return SwitchCall.place(gateway.daemon.legPort!, {
    ...options,
    variables: { ai_agent_ref: 'quiet', ...options.variables },
  });
}

/** What the caller says, as the switch sends it. */
function said(utterance: Parameters<typeof speech>[0], format: AudioFormat): Uint8Array {
  return convertWhole(Buffer.concat([speech(utterance), silence(800)]), PCM, format);
}

async function summaryOf(callId: string) {
  const { status, body } = await new TestCall(gateway.url, callId).end();
  expect(status).toBe(200);
  return body.summary as { transcript: string[]; endReason: string };
}

describe.concurrent('a call that FreeSWITCH hands over', () => {
  it.each([
    ['PCMU', 8000, 20],
    ['PCMA', 8000, 30],
    ['G722', 16_000, 20],
    ['opus', 48_000, 60],
    ['PCMU', 8000, 10],
  ])('is a conversation in %s at %i Hz with packets of %i ms', async (codec, rateHz, ptimeMs) => {
    const call = await place({ codec, rateHz, ptimeMs });
    await eventually(() => call.legAudio !== undefined);
    await call.say(said('order', call.format));
    const { durationMs, text } = manifest.agentLines['order-status']!;
    await eventually(() => call.soundMs > durationMs * 0.6);
    call.hangUp();
    await eventually(() => !call.isConnected);
    const { transcript, endReason } = await summaryOf(call.channel.uuid);
    expect(transcript[0]).toBe(userLine('order'));
    expect(transcript[1]!.startsWith(aiLine('order-status').slice(0, 12))).toBe(true);
    expect(text.length).toBeGreaterThan(0);
    expect(endReason).toBe('completed');
    for (const { bytes } of call.heard) expect(bytes.length).toBe(call.heard[0]!.bytes.length);
  });
});
