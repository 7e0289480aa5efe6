import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { AgentProfileError, checkAgentProfile } from '../../src/backend/profiles/agent-profile.ts';

const webhook = {
  type: 'webhook',
  name: 'look_up',
  description: 'Finds an order',
  parameters: { type: 'object' },
  url: 'https://shop.example/orders/{{id}}',
};
const profile = { instructions: 'Help.', tools: [webhook], webhookHosts: ['shop.example'] };
const withTool = (fields: object) => ({ ...profile, tools: [{ ...webhook, ...fields }] });

function keywordsFor(model: string) {
  return { ...profile, transcription: { model, keywords: ['Acme'] } };
}

test('takes what the upstream understands, and everything for a model that nobody knows', () => {
  for (const fields of [
    keywordsFor('gpt-transcribe'),
    keywordsFor('our-deployment'),
    { transcription: null },
    { transcription: { language: 'yue', model: 'gpt-realtime-whisper', delay: 'minimal' } },
    { language: 'it', transcriptionModel: 'whisper-1' },
    { maxOutputTokens: 'inf', noiseReduction: { type: 'far_field', strength: 0.3 }, voice: { id: 'voice_1' } },
    { reasoning: { effort: 'xhigh' }, parallelToolCalls: true, truncation: 'disabled', toolChoice: 'required' },
    { truncation: { retentionRatio: 0.8, postInstructionsTokens: 8_000 }, session: { tracing: 'auto' } },
  ]) {
    expect(checkAgentProfile({ ...profile, ...fields }, 'it')).toMatchObject(fields);
  }
});

test('the profile that ships is good', async () => {
  const path = new URL('../../agents/customer-care-voice.json', import.meta.url);
  expect(checkAgentProfile(JSON.parse(await readFile(path, 'utf8')), 'it')).toHaveProperty('greeting.say');
});

describe('says which field is wrong', () => {
  test.each([
    ['instructions', {}],
    ['the profile must be object', 'hello'],
    ['voic is not a field that exists', { ...profile, voic: 'marin' }],
    ['speed must be <= 1.5', { ...profile, speed: 3 }],
    ['noiseReduction must be one of "near_field", "far_field", null, object', { ...profile, noiseReduction: 'far' }],
    ['turnDetection.threshold', { ...profile, turnDetection: { type: 'server_vad', threshold: 2 } }],
    ['turnDetection.eagerness must be one of', { ...profile, turnDetection: { type: 'semantic_vad', eagerness: 'x' } }],
    ['turnDetection.type must be one of', { ...profile, turnDetection: { type: 'vad' } }],
    ['tools.0.type must be one of', { ...profile, tools: [{ type: 'end_cal' }] }],
    ['tools.0.method must be one of', withTool({ method: 'PATCH' })],
    ['tools.0.name', withTool({ name: 'look up' })],
    ['webhookHosts.0', { ...profile, webhookHosts: ['https://shop.example'] }],
    ['greeting needs either', { ...profile, greeting: {} }],
    ['greeting needs either', { ...profile, greeting: { say: 'a', instructions: 'b' } }],
    ['transferExtensions is empty', { instructions: 'x', tools: [{ type: 'transfer_to_extension' }] }],
    ['fallbackExtension is "200"', { instructions: 'x', fallbackExtension: '200', transferExtensions: ['201'] }],
    ['two tools named look_up', { ...profile, tools: [webhook, webhook] }],
    ['two tools named end_call', { ...profile, tools: [{ type: 'end_call' }, { ...webhook, name: 'end_call' }] }],
    ['tools.look_up calls', withTool({ url: 'https://shop.example:8443/' })],
    ['tools.look_up calls', withTool({ url: 'http://127.0.0.1/' })],
    ['placeholder in its host', withTool({ url: 'https://{{host}}.example/' })],
    ['user name', withTool({ url: 'https://user:pass@shop.example/' })],
    ['tools.look_up headers', withTool({ headers: { Host: 'x' } })],
    ['tools.look_up headers', withTool({ headers: { 'x y': 'x' } })],
    ['tools.look_up headers', withTool({ headers: { x: 'a\nb' } })],
    ['voice must be one of string, object', { ...profile, voice: 5 }],
    ['transcription.delay must be one of', { ...profile, transcription: { delay: 'long' } }],
    ['leave transcriptionModel out', { ...profile, transcription: {}, transcriptionModel: 'x' }],
    ['transcription.keywords is not for the model whisper-1', keywordsFor('whisper-1')],
    ['transcription.delay is not for the model gpt-transcribe', { ...profile, transcription: { delay: 'low' } }],
    ['transcription.prompt', { ...profile, transcription: { model: 'gpt-realtime-whisper', prompt: 'x' } }],
    ['language', { ...profile, language: 'english' }],
    ['maxOutputTokens', { ...profile, maxOutputTokens: 0 }],
    ['noiseReduction.strength', { ...profile, noiseReduction: { type: 'near_field', strength: 2 } }],
    ['truncation.retentionRatio', { ...profile, truncation: { retentionRatio: 2 } }],
    ['toolChoice is "other", but', { ...profile, toolChoice: { type: 'function', name: 'other' } }],
    [
      'reasoning is not for the model gpt-realtime',
      { ...profile, model: 'gpt-realtime', reasoning: { effort: 'low' } },
    ],
    ['parallelToolCalls is not', { ...profile, model: 'gpt-realtime-1.5', parallelToolCalls: true }],
    ['tools.0.description', withTool({ description: 'x'.repeat(1_025) })],
    ['tools', { ...profile, tools: Array(129).fill({ type: 'end_call' }) }],
    ['session.tools is', { ...profile, session: { tools: [] } }],
    ['session.audio.input.format is', { ...profile, session: { audio: { input: { format: null } } } }],
    ['session.audio.input.turn_detection is', { ...profile, session: { audio: { input: { turn_detection: null } } } }],
    ['session.audio.output.format is', { ...profile, session: { audio: { output: { format: {} } } } }],
    ['session.audio.input must be object', { ...profile, session: { audio: { input: 'x' } } }],
    ['session must not be longer', { ...profile, session: { x: 'x'.repeat(20_000) } }],
    ['OPENAI_API_KEY', withTool({ headers: { x: '${'.concat('OPENAI_API_KEY}') } })],
  ])('%s', (problem, value) => {
    expect(() => checkAgentProfile(value, 'care.json')).toThrow(AgentProfileError);
    expect(() => checkAgentProfile(value, 'care.json')).toThrow(/^agent profile care\.json: /);
    expect(() => checkAgentProfile(value, 'care.json')).toThrow(problem);
  });
});

test.each([
  ['https://shop.example:443/', 'shop.example'],
  ['https://SHOP.example/', 'Shop.Example'],
  ['http://shop.example/', 'shop.example:80'],
  ['https://shop.example:8443/{{x}}?y={{y}}', 'shop.example:8443'],
  ['http://[::1]:8080/', '[::1]:8080'],
])('%s is at the allowed host %s', (url, host) => {
  expect(checkAgentProfile({ ...withTool({ url }), webhookHosts: [host] }, 'it')).toBeDefined();
});
