import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RealtimeSimulator } from '../../src/simulator/server.ts';
import { INSTANT, joined, manifest, PCM, PCMA, PCMU, recordedCall, silence, speech, TestClient } from './client.ts';

let simulator: RealtimeSimulator;
let client: TestClient;

beforeAll(async () => {
  simulator = await RealtimeSimulator.listen({ ...INSTANT, captureAudio: true });
});
afterAll(() => simulator.close());
beforeEach(async () => {
  client = await TestClient.connect(simulator.url);
});

const manual = () => client.update({ audio: { input: { turn_detection: null } } });

describe('input_audio_buffer.commit', () => {
  it('makes an item of what was appended, and no response', async () => {
    await manual();
    client.stream(joined(speech(300), silence(900), speech(200)));
    client.send({ type: 'input_audio_buffer.commit' });
    const { item_id: itemId, previous_item_id: previous } = await client.next('input_audio_buffer.committed');
    expect(previous).toBeNull();
    await client.next('conversation.item.done', ({ item }) => item.id === itemId);
    await client.update({});
    expect(client.types).not.toContain('response.created');
    expect(client.types).not.toContain('input_audio_buffer.speech_started');
    client.send({ type: 'response.create' });
    const { usage } = (await client.next('response.done')).response;
    expect(usage?.input_token_details?.audio_tokens).toBe(14);
  });

  it.each([0, 20, 99])('refuses %d ms', async (durationMs) => {
    await manual();
    client.stream(speech(durationMs));
    expect(await client.refused({ type: 'input_audio_buffer.commit' })).toEqual({
      type: 'invalid_request_error',
      code: 'input_audio_buffer_commit_empty',
      message: `Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer only has ${durationMs}.00ms of audio.`,
      param: null,
      event_id: 'ev-1',
    });
  });

  it('takes 100 ms, and starts the next item behind them', async () => {
    await manual();
    client.stream(speech(100));
    client.send({ type: 'input_audio_buffer.commit' });
    await client.next('input_audio_buffer.committed');
    expect(await client.refused({ type: 'input_audio_buffer.commit' })).toMatchObject({
      code: 'input_audio_buffer_commit_empty',
    });
  });

  it('ends the turn that voice activity has begun', async () => {
    client.stream(joined(silence(400), speech(500)));
    const { item_id: itemId } = await client.next('input_audio_buffer.speech_started');
    client.send({ type: 'input_audio_buffer.commit' });
    expect(await client.next('input_audio_buffer.committed')).toMatchObject({ item_id: itemId });
    client.stream(silence(1000));
    await client.update({});
    expect(client.types).not.toContain('input_audio_buffer.speech_stopped');
  });
});

describe('input_audio_buffer.clear', () => {
  it('forgets the audio and the turn, but not the time', async () => {
    client.stream(joined(silence(500), speech(500)));
    await client.next('input_audio_buffer.speech_started');
    client.send({ type: 'input_audio_buffer.clear' });
    await client.next('input_audio_buffer.cleared');
    client.stream(joined(silence(1000), speech(300)));
    const started = await client.next('input_audio_buffer.speech_started');
    expect(started.audio_start_ms).toBe(2000 - 300);
    expect(client.types).not.toContain('input_audio_buffer.speech_stopped');
  });

  it('leaves nothing to commit', async () => {
    await manual();
    client.stream(speech(500));
    client.send({ type: 'input_audio_buffer.clear' });
    expect(await client.refused({ type: 'input_audio_buffer.commit' })).toMatchObject({
      code: 'input_audio_buffer_commit_empty',
    });
  });
});

describe('input_audio_buffer.append', () => {
  it.each([
    ['not base64', '%%%%'],
    ['base64 without padding', 'AAA'],
    ['half a sample', 'AAAA'],
    ['not text', 5],
  ])('refuses %s', async (_what, audio) => {
    const error = await client.refused({ type: 'input_audio_buffer.append', audio });
    expect(error).toEqual({
      type: 'invalid_request_error',
      code: 'invalid_value',
      message: "Invalid 'audio'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz) but got an invalid value.",
      param: 'audio',
      event_id: 'ev-1',
    });
  });

  it('refuses an event without audio', async () => {
    expect(await client.refused({ type: 'input_audio_buffer.append' })).toMatchObject({
      code: 'missing_required_parameter',
      param: 'audio',
    });
  });

  it('is not acknowledged, and counts chunks of any size alike', async () => {
    const audio = joined(silence(500), speech(700), silence(900));
    client.stream(audio, PCM, 20);
    const small = await client.next('input_audio_buffer.speech_stopped');
    const other = await TestClient.connect(simulator.url);
    other.append(audio);
    const large = await other.next('input_audio_buffer.speech_stopped');
    expect(small.audio_end_ms).toBe(large.audio_end_ms);
    expect(other.types.slice(0, 2)).toEqual(['session.created', 'input_audio_buffer.speech_started']);
  });

  it('keeps what was received, for tests that look', async () => {
    const audio = joined(silence(100), speech(150));
    client.stream(audio, PCM, 40);
    await client.update({});
    const connection = simulator.connections.at(-1)!;
    expect(Buffer.compare(connection.receivedAudio(), audio)).toBe(0);
  });
});

describe.each([PCM, PCMU, PCMA])('$encoding', (codec) => {
  it('is heard at its rate', async () => {
    const format = codec === PCM ? { type: codec.encoding, rate: 24_000 } : { type: codec.encoding };
    await client.update({ audio: { input: { format, transcription: { model: 'gpt-4o-transcribe' } } } });
    client.stream(recordedCall('goodbye-16k', codec), codec, 20);
    const { audio_start_ms: startMs } = await client.next('input_audio_buffer.speech_started');
    const { audio_end_ms: endMs } = await client.next('input_audio_buffer.speech_stopped');
    const [utterance] = manifest.calls['goodbye-16k']!.utterances;
    expect(Math.abs(startMs - (utterance!.startMs - 300))).toBeLessThanOrEqual(60);
    expect(Math.abs(endMs - (utterance!.endMs + 500))).toBeLessThanOrEqual(60);
    const { transcript } = await client.next('conversation.item.input_audio_transcription.completed');
    expect(transcript).toBe(utterance!.text);
  });
});

describe('turn detection', () => {
  it('asks for louder speech at a higher threshold', async () => {
    const quiet = joined(silence(500), speech(500, PCM, 500), silence(800), speech(500, PCM, 12_000), silence(800));
    const input = { turn_detection: { type: 'server_vad', threshold: 0.9 } };
    await client.update({ audio: { input } });
    client.stream(quiet);
    const started = await client.next('input_audio_buffer.speech_started');
    expect(started.audio_start_ms).toBe(1800 - 300);

    const keen = await TestClient.connect(simulator.url);
    await keen.update({ audio: { input: { turn_detection: { type: 'server_vad', threshold: 0 } } } });
    keen.stream(quiet);
    expect((await keen.next('input_audio_buffer.speech_started')).audio_start_ms).toBe(500 - 300);
  });

  it('honours padding and silence', async () => {
    const turn_detection = { type: 'server_vad', prefix_padding_ms: 100, silence_duration_ms: 900 };
    await client.update({ audio: { input: { turn_detection } } });
    client.stream(joined(silence(500), speech(400), silence(700), speech(300), silence(1000)));
    expect((await client.next('input_audio_buffer.speech_started')).audio_start_ms).toBe(400);
    expect((await client.next('input_audio_buffer.speech_stopped')).audio_end_ms).toBe(500 + 400 + 700 + 300 + 900);
  });

  it.each([
    ['high', 400],
    ['auto', 800],
    ['medium', 800],
    ['low', 1600],
  ])('waits as long as semantic detection of %s eagerness', async (eagerness, silenceMs) => {
    await client.update({ audio: { input: { turn_detection: { type: 'semantic_vad', eagerness } } } });
    client.stream(joined(silence(500), speech(500), silence(2000)));
    expect((await client.next('input_audio_buffer.speech_stopped')).audio_end_ms).toBe(1000 + silenceMs);
  });

  it('ignores a click', async () => {
    client.stream(joined(silence(500), speech(40), silence(1000), speech(200), silence(600)));
    expect((await client.next('input_audio_buffer.speech_started')).audio_start_ms).toBe(1540 - 300);
  });

  it('is not misled by a noisy street', async () => {
    client.stream(recordedCall('noisy-street-16k'));
    const { utterances } = manifest.calls['noisy-street-16k']!;
    await client.next('input_audio_buffer.speech_stopped');
    await client.next('input_audio_buffer.speech_stopped');
    await client.update({});
    expect(client.all('input_audio_buffer.speech_started')).toHaveLength(utterances.length);
  });
});

describe('the idle timeout', () => {
  it('prompts a caller who says nothing after a reply', async () => {
    const turn_detection = { type: 'server_vad', idle_timeout_ms: 5000 };
    await client.update({ audio: { input: { turn_detection } } });
    client.stream(silence(30_000));
    await client.update({});
    expect(client.types).not.toContain('input_audio_buffer.timeout_triggered');

    client.send({ type: 'response.create' });
    await client.next('response.done');
    client.stream(silence(9000));
    const timeout = await client.next('input_audio_buffer.timeout_triggered');
    expect(timeout.audio_end_ms - timeout.audio_start_ms).toBeGreaterThanOrEqual(5000);
    expect(timeout.audio_end_ms - timeout.audio_start_ms).toBeLessThanOrEqual(5100);
    expect(timeout.audio_start_ms).toBeGreaterThan(30_000 + 2000);
    const committed = await client.next('input_audio_buffer.committed');
    expect(committed.item_id).toBe(timeout.item_id);
    const { response } = await client.next('response.done');
    const transcript = manifest.agentLines['still-there']!.text;
    expect(response.output).toMatchObject([{ content: [{ transcript }] }]);
  });

  it('is called off by speech', async () => {
    await client.update({
      audio: { input: { turn_detection: { type: 'server_vad', idle_timeout_ms: 5000, create_response: false } } },
    });
    client.send({ type: 'response.create' });
    await client.next('response.done');
    client.stream(joined(silence(3000), speech(500), silence(12_000)));
    await client.next('input_audio_buffer.committed');
    await client.update({});
    expect(client.types).not.toContain('input_audio_buffer.timeout_triggered');
  });
});
