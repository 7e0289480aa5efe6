import { afterEach, expect, it } from 'vitest';
import { betaNameOf, fromBeta } from '../../src/simulator/beta-dialect.ts';
import { RealtimeSimulator } from '../../src/simulator/server.ts';
import { INSTANT, TestClient } from './client.ts';

let simulator: RealtimeSimulator | undefined;
afterEach(() => simulator?.close());

it('serves a client of the beta with the names it knows', async () => {
  simulator = await RealtimeSimulator.listen({ ...INSTANT, mode: 'loopback', dialect: 'beta' });
  const headers = { authorization: 'Bearer k', 'openai-beta': 'realtime=v1' };
  const client = new TestClient(simulator.url, {}, { headers });
  await client.next('session.created');
  const session = {
    instructions: 'Answer.',
    modalities: ['audio', 'text'],
    input_audio_format: 'g711_ulaw',
    output_audio_format: 'g711_ulaw',
    temperature: 0.8,
    max_response_output_tokens: 'inf',
  };
  client.send({ type: 'session.update', session });
  const updated = await client.next('session.updated');
  expect(updated.session).toMatchObject({ audio: { input: { format: { type: 'audio/pcmu' } } } });
  const audio = Buffer.alloc(160, 0x55).toString('base64');
  client.send({ type: 'input_audio_buffer.append', audio });
  const isDelta = ({ type }: { type: string }) => type === 'response.audio.delta';
  await expect.poll(() => client.events.some(isDelta)).toBe(true);
  expect(client.events.find(isDelta)).toMatchObject({ delta: audio });
  const types = client.events.map(({ type }) => type as string);
  expect(types).toContain('conversation.item.created');
  expect(types.filter((type) => /output_audio|conversation\.item\.(added|done)/.test(type))).toEqual([]);
  client.socket.close();
});

it('leaves what the beta had alike', () => {
  expect(betaNameOf('response.done')).toBe('response.done');
  expect(betaNameOf('conversation.item.done')).toBeUndefined();
  const append = { type: 'input_audio_buffer.append', audio: 'AAAA' };
  expect(fromBeta(append)).toBe(append);
  expect(fromBeta({ type: 'session.update', session: { modalities: ['text'], voice: 'ash' } })).toEqual({
    type: 'session.update',
    session: { type: 'realtime', output_modalities: ['text'], audio: { input: {}, output: { voice: 'ash' } } },
  });
});
