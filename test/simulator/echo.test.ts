import { afterEach, describe, expect, it } from 'vitest';
import { bestCorrelation } from '../../src/audio/level.ts';
import { resampleWhole } from '../../src/audio/resampler.ts';
import { RealtimeSimulator, type SimulatorMode } from '../../src/simulator/server.ts';
import { INSTANT, joined, manifest, PCM, PCMA, PCMU, recordedCall, silence, speech, TestClient } from './client.ts';

let simulator: RealtimeSimulator;
let client: TestClient;
afterEach(() => simulator.close());

async function start(mode: SimulatorMode): Promise<void> {
  simulator = await RealtimeSimulator.listen({ ...INSTANT, mode });
  client = await TestClient.connect(simulator.url);
}

const formatOf = (codec: typeof PCM) =>
  codec === PCM ? { type: codec.encoding, rate: 24_000 } : { type: codec.encoding };

function useFormats(input: typeof PCM, output: typeof PCM) {
  return client.update({ audio: { input: { format: formatOf(input) }, output: { format: formatOf(output) } } });
}

describe('echo mode', () => {
  it.each([PCM, PCMU, PCMA])('answers with the very bytes of the turn ($encoding)', async (codec) => {
    await start('echo');
    await useFormats(codec, codec);
    const sent = joined(silence(700, codec), speech(900, codec), silence(1000, codec));
    client.stream(sent, codec, 20);
    const { response } = await client.next('response.done');
    const { audio_start_ms: startMs } = client.all('input_audio_buffer.speech_started')[0]!;
    const { audio_end_ms: endMs } = client.all('input_audio_buffer.speech_stopped')[0]!;
    const echo = client.audioOf(response.output?.[0]?.id ?? '');
    expect(echo.length).toBe((endMs - startMs) * codec.bytesPerMs);
    expect(Buffer.compare(echo, sent.subarray(startMs * codec.bytesPerMs, endMs * codec.bytesPerMs))).toBe(0);
  });

  it('converts between formats that differ', async () => {
    await start('echo');
    await useFormats(PCMU, PCM);
    const sent = joined(silence(700, PCMU), speech(900, PCMU), silence(1000, PCMU));
    client.stream(sent, PCMU);
    const { response } = await client.next('response.done');
    const { audio_start_ms: startMs } = client.all('input_audio_buffer.speech_started')[0]!;
    const { audio_end_ms: endMs } = client.all('input_audio_buffer.speech_stopped')[0]!;
    const echo = client.audioOf(response.output?.[0]?.id ?? '');
    expect(echo.length).toBe((endMs - startMs) * 48);
    const turn = PCMU.decode(sent.subarray(startMs * 8, endMs * 8));
    const { lag, coefficient } = bestCorrelation(resampleWhole(turn, 8000, 24_000), PCM.decode(echo), 50);
    expect(lag).toBe(0);
    expect(coefficient).toBeGreaterThan(0.999);
  });

  it('says in its transcript what it recognised', async () => {
    await start('echo');
    client.stream(recordedCall('goodbye-16k'));
    const { transcript } = await client.next('response.output_audio_transcript.done');
    expect(transcript).toBe(manifest.calls['goodbye-16k']!.utterances[0]!.text);
  });

  it('greets when there is nothing to echo', async () => {
    await start('echo');
    client.send({ type: 'response.create' });
    const { transcript } = await client.next('response.output_audio_transcript.done');
    expect(transcript).toBe(manifest.agentLines.greeting!.text);
  });
});

describe('loopback mode', () => {
  it('sends every chunk back at once, in one response without end', async () => {
    await start('loopback');
    const audio = joined(silence(200), speech(700), silence(900), speech(300));
    client.stream(audio, PCM, 20);
    for (let chunk = 0; chunk < 2100 / 20; chunk++) await client.next('response.output_audio.delta');
    expect(client.types.slice(0, 5)).toEqual([
      'session.created',
      'response.created',
      'response.output_item.added',
      'conversation.item.added',
      'response.content_part.added',
    ]);
    const deltas = client.all('response.output_audio.delta');
    expect(new Set(deltas.map(({ item_id: id }) => id)).size).toBe(1);
    expect(new Set(deltas.map(({ delta }) => Buffer.from(delta, 'base64').length))).toEqual(new Set([960]));
    expect(Buffer.compare(client.audioOf(deltas[0]!.item_id), audio)).toBe(0);
    expect(client.types.filter((type) => type.startsWith('input_audio_buffer'))).toEqual([]);
  });

  it('gathers chunks into deltas of the length that was asked for', async () => {
    simulator = await RealtimeSimulator.listen({ ...INSTANT, mode: 'loopback', loopbackDeltaMs: 200 });
    client = await TestClient.connect(simulator.url);
    const audio = speech(600);
    client.stream(audio, PCM, 60);
    for (let delta = 0; delta < 2; delta++) await client.next('response.output_audio.delta');
    await client.update({});
    const deltas = client.all('response.output_audio.delta');
    // Four chunks of 60 ms fill a delta; what does not fill one is kept.
    expect(deltas.map(({ delta }) => Buffer.from(delta, 'base64').length)).toEqual([48 * 240, 48 * 240]);
    expect(Buffer.compare(client.audioOf(deltas[0]!.item_id), audio.subarray(0, 48 * 480))).toBe(0);
  });

  it('begins with a greeting that is asked for, and is still the same response', async () => {
    await start('loopback');
    client.send({ type: 'response.create' });
    const { response } = await client.next('response.created');
    client.append(speech(100));
    const delta = await client.next('response.output_audio.delta');
    expect(delta.response_id).toBe(response.id);
  });

  it('ends with a cancellation, and starts again with the next chunk', async () => {
    await start('loopback');
    client.append(speech(100));
    await client.next('response.output_audio.delta');
    client.send({ type: 'response.cancel' });
    expect((await client.next('response.done')).response).toMatchObject({ status: 'cancelled' });
    client.append(speech(100));
    await client.next('response.created');
    await client.next('response.output_audio.delta');
  });

  it('converts between formats without a seam', async () => {
    await start('loopback');
    await useFormats(PCM, PCMU);
    const audio = speech(2000);
    client.stream(audio, PCM, 20);
    await client.next('response.output_audio.delta');
    await client.update({});
    const { item_id: itemId } = client.all('response.output_audio.delta')[0]!;
    const heard = PCMU.decode(client.audioOf(itemId));
    const wanted = PCMU.decode(PCMU.encode(resampleWhole(PCM.decode(audio), 24_000, 8000)));
    expect(heard).toEqual(wanted.subarray(0, heard.length));
    expect(heard.length).toBeGreaterThan(8 * 1990);
  });
});
