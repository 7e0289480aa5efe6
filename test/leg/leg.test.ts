import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AudioFormat } from '../../src/audio/codec.ts';
import { convertWhole } from '../../src/audio/converter.ts';
import { http, TestCall } from '../support/call.ts';
import { aiLine, eventually, manifest, silence, speech, userLine } from '../support/caller.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';
import { isSound, killAllCalls, SwitchCall, type SwitchCallOptions } from './switch/test-switch.ts';

const PCM: AudioFormat = { encoding: 'pcm16', sampleRateHz: 16_000 };

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway({
    env: { SESSION_WORKERS: '1', LEG_PORT: '0', LEG_PORTS: '14000-14999', W3_VOICE_GATEWAY_API_KEY: 'operator-key' },
    profiles: { quiet: QUIET_PROFILE },
  });
});
afterAll(async () => {
  killAllCalls();
  await gateway.stop();
});

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
  const headers = { 'x-api-key': 'operator-key' };
  const { status, body } = await new TestCall(gateway.url, callId, headers).end();
  expect(status).toBe(200);
  return body.summary as { transcript: string[]; endReason: string };
}

/** A metric's value; series of the family are added up. */
async function metric(series: string): Promise<number> {
  const { body } = await http('GET', `${gateway.url}/metrics`);
  const lines = (body as string).split('\n').filter((line) => line.startsWith(`voice_gateway_${series}`));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

// They take as long as what is said in them: at once, not one after the other.
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
    const { durationMs } = manifest.agentLines['order-status']!;
    await eventually(() => call.soundMs > durationMs * 0.6);
    call.hangUp();
    expect(await call.left.promise).toBe('caller');
    // The switch is let go of, not kept until it has lingered.
    await eventually(() => !call.isConnected);
    const { transcript, endReason } = await summaryOf(call.channel.uuid);
    expect(transcript[0]).toBe(userLine('order'));
    expect(endReason).toBe('completed');
    for (const { bytes } of call.heard) expect(bytes.length).toBe(call.heard[0]!.bytes.length);
  });

  it('is transferred when the agent has said its last word, and the channel says so', async () => {
    const call = await place({ variables: { ai_agent_ref: 'customer-care-voice' } });
    await eventually(() => call.soundMs > 500);
    await call.say(said('person', call.format));
    expect(await call.left.promise).toBe('transfer 200 XML public');
    expect(call.channel.variables.get('ai_result')).toBe('transferred');
    expect((await summaryOf(call.channel.uuid)).endReason).toBe('transferred');
  });

  it('goes to the fallback where the switch does not allow what the AI wants', async () => {
    const call = await place({
      variables: {
        ai_agent_ref: 'customer-care-voice',
        ai_transfer_allow: '^3%d%d$',
        ai_fallback_extension: '999',
      },
    });
    await eventually(() => call.soundMs > 500);
    await call.say(said('person', call.format));
    expect(await call.left.promise).toBe('transfer 999 XML public');
    expect(call.channel.variables.get('ai_result')).toBe('fallback');
    expect(call.channel.variables.get('ai_fallback_reason')).toContain('which is not allowed here');
  });

  it('is hung up by the agent after its goodbye', async () => {
    const call = await place({ variables: { ai_agent_ref: 'customer-care-voice' } });
    await eventually(() => call.soundMs > 500);
    await call.say(said('goodbye', call.format));
    expect(await call.left.promise).toBe('hangup NORMAL_CLEARING');
    expect(call.channel.variables.get('ai_result')).toBe('completed');
    expect((await summaryOf(call.channel.uuid)).transcript.at(-1)).toBe(aiLine('goodbye'));
  });

  it('can be taken away by somebody else: its session ends', async () => {
    const call = await place();
    await eventually(() => call.heard.length > 10);
    call.takeAway();
    await eventually(() => !call.isConnected);
    expect(call.commands.at(-1)).toBe('exit');
    expect(call.executed).not.toContain('transfer');
    expect((await summaryOf(call.channel.uuid)).endReason).toBe('completed');
  });

  it('tells the agent what keys are pressed, those before it listened too', async () => {
    const call = await place({ answerState: 'answered' });
    await eventually(() => call.commands.some((command) => command.startsWith('event ')));
    call.press('2');
    call.press('#');
    await eventually(() => call.soundMs > 100);
    call.press('7');
    call.press('#');
    const headers = { 'x-api-key': 'operator-key' };
    const events = () =>
      http('GET', `${gateway.url}/api/voice/session/${call.channel.uuid}/events`, undefined, headers);
    await eventually(async () => JSON.stringify((await events()).body).split('"dtmf_sent"').length === 3);
    call.hangUp();
    await eventually(() => !call.isConnected);
    expect((await summaryOf(call.channel.uuid)).transcript.join()).toMatch(/2#.*7#/);
  });

  it('keeps what the agent has to say while the caller has it on hold', async () => {
    const call = await place();
    await eventually(() => call.legAudio !== undefined);
    await call.say(said('returns', call.format));
    await eventually(() => call.soundMs > 1000);
    call.hold(true);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const [packets, soundMs] = [call.heard.length, call.soundMs];
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(call.heard.length).toBe(packets);
    call.hold(false);
    const { durationMs } = manifest.agentLines['long-explanation']!;
    await eventually(() => call.soundMs > durationMs * 0.75);
    expect(soundMs).toBeLessThan(durationMs * 0.6);
  });

  it('is silent soon after the caller has begun to speak', async () => {
    const call = await place();
    await eventually(() => call.legAudio !== undefined);
    await call.say(said('returns', call.format));
    await eventually(() => call.soundMs > 1500);
    const before = call.soundMs;
    void call.say(said('order', call.format));
    await eventually(() => call.soundMs > before + 100);
    // What follows is the answer to what was said, behind a pause.
    await eventually(() => {
      const last = call.heard.slice(-10);
      return last.length === 10 && !last.some(({ bytes }) => isSound(bytes));
    });
    expect(call.soundMs).toBeLessThan(manifest.agentLines['long-explanation']!.durationMs - 1500);
  });

  it.each([
    ['first', ['answer']],
    ['ready', ['pre_answer', 'answer']],
    ['never', ['pre_answer']],
  ])('is answered as ai_answer=%s says', async (policy, applications) => {
    const call = await place({ variables: { ai_answer: policy } });
    await eventually(() => call.heard.length > 5);
    expect(call.executed).toEqual(applications);
  });

  it('hears no packet from another port, and counts it', async () => {
    const call = await place();
    await eventually(() => call.legAudio !== undefined);
    const before = await metric('leg_packets_total{fate="stranger"}');
    const stranger = createSocket('udp4');
    const { port, address } = call.legAudio!;
    for (let i = 0; i < 20; i++) stranger.send(Buffer.alloc(160, 0x10), port, address);
    await eventually(async () => (await metric('leg_packets_total{fate="stranger"}')) >= before + 20);
    stranger.close();
    call.sendPacket(Buffer.alloc(20_000));
    await eventually(async () => (await metric('leg_packets_total{fate="unusable"}')) >= 1);
  });
});

describe.concurrent('a call that cannot be taken', () => {
  it('goes to its fallback extension, and the channel says why', async () => {
    const call = await place({ variables: { ai_agent_ref: 'nobody', ai_fallback_extension: '200' } });
    expect(await call.left.promise).toBe('transfer 200 XML public');
    expect(call.channel.variables.get('ai_result')).toBe('fallback');
    expect(call.channel.variables.get('ai_fallback_reason')).toMatch(/^no session: aiAgentRef is "nobody"/);
  });

  it('is played the prompt and hung up without an extension', async () => {
    const call = await place({ variables: { ai_api_key: 'wrong-key', ai_fallback_prompt: 'sorry.wav' } });
    expect(await call.left.promise).toBe('hangup NORMAL_TEMPORARY_FAILURE');
    expect(call.executed.at(-1)).toBe('playback sorry.wav');
    expect(call.channel.variables.get('ai_fallback_reason')).toBe('no session: the API key is not known here');
  });

  it.each<[string, SwitchCallOptions, RegExp]>([
    ['a codec at a rate that is not carried', { codec: 'SIREN', rateHz: 32_000 }, /the call is in SIREN at 32000 Hz/],
    ['half of what the dialplan must say', { mode: ['full'] }, /must say "async full"/],
    ['a variable that cannot be used', { variables: { ai_tenant_id: 'a b' } }, /ai_tenant_id has a value/],
  ])('goes to its fallback for %s', async (_name, options, why) => {
    const call = await place({ ...options, variables: { ...options.variables, ai_fallback_extension: '200' } });
    expect(await call.left.promise).toBe('transfer 200 XML public');
    expect(call.channel.variables.get('ai_fallback_reason')).toMatch(why);
  });

  it('leaves no session behind when the caller hangs up before there is one', async () => {
    const call = await place();
    await eventually(() => call.executed.includes('answer'));
    call.hangUp();
    await eventually(() => !call.isConnected);
    await eventually(async () => {
      const headers = { 'x-api-key': 'operator-key' };
      const { body } = await http('GET', `${gateway.url}/api/voice/sessions`, undefined, headers);
      return !body.sessions.some(({ callId }: { callId: string }) => callId === call.channel.uuid);
    });
  });
});

describe('connections that are no calls', () => {
  it('are counted and let go, however many there are, and calls go on', async () => {
    const port = gateway.daemon.legPort!;
    const before = await metric('leg_connections_refused_total');
    const sockets = Array.from({ length: 300 }, () => connect(port, '127.0.0.1').on('error', () => {}));
    const garbage = connect(port, '127.0.0.1').on('error', () => {});
    garbage.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const call = await place();
    await eventually(() => call.heard.length > 5);
    await eventually(async () => (await metric('leg_connections_refused_total')) >= before + 301);
    for (const socket of [...sockets, garbage]) socket.destroy();
    expect(await metric('leg_connections_refused_total{reason="garbage"}')).toBeGreaterThanOrEqual(1);
    const active = await metric('legs_active');
    call.hangUp();
    await eventually(async () => (await metric('legs_active')) < active);
  });

  it('garbage in the midst of a call ends the call and nothing else', async () => {
    const call = await place();
    await eventually(() => call.heard.length > 5);
    call.sendRaw('Content-Length: 99999999999\n\n');
    await eventually(() => !call.isConnected);
    expect(await call.left.promise).toBe('dialplan');
    const next = await place();
    await eventually(() => next.heard.length > 5);
  });
});
