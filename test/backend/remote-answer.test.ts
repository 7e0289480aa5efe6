import { describe, expect, test } from 'vitest';
import { type AgentProfile, checkAgentProfile } from '../../src/backend/profiles/agent-profile.ts';
import { mergeRemote, readRemoteAnswer } from '../../src/backend/profiles/remote-answer.ts';

const read = (data: object) => readRemoteAnswer(JSON.stringify({ data }));
const webhook = (url: string, headers: Record<string, string> = {}) => ({
  type: 'webhook',
  name: 'look_up',
  description: '',
  parameters: {},
  url,
  headers,
});
const own = checkAgentProfile(
  {
    instructions: 'own',
    greeting: { say: 'Hello' },
    voice: 'cedar',
    tools: [{ type: 'transfer_to_extension' }, webhook('https://shop.example/')],
    webhookHosts: ['shop.example', 'api.example'],
    transferExtensions: ['200'],
    fallbackExtension: '200',
  },
  'own',
);
const merge = (data: object, local: AgentProfile | null = own, fallback?: AgentProfile) =>
  mergeRemote(read(data), local ?? undefined, fallback, 'it');

const listening = { model: 'gpt-transcribe', language: 'en', keywords: ['Acme'] };

describe('reading', () => {
  test.each([
    [{ systemPrompt: 'a', instructions: 'b' }, { instructions: 'a' }],
    [{ instructions: 'b' }, { instructions: 'b' }],
    [{ greeting: 'Ciao' }, { greeting: { say: 'Ciao' } }],
    [
      { greeting: { instructions: 'Greet', interruptible: false } },
      { greeting: { instructions: 'Greet', interruptible: false } },
    ],
    [{ greeting: '', firstMessage: 'Ciao', welcomeMessage: 'no' }, { greeting: { say: 'Ciao' } }],
    [{ welcomeMessage: 'Ciao' }, { greeting: { say: 'Ciao' } }],
    [{ language: 'it-IT' }, { language: 'it' }],
    [{ language: 'EN_us' }, { language: 'en' }],
    [{ language: 'it' }, { language: 'it' }],
    [
      { language: 'yue-HK', reasoning: { effort: 'low' } },
      { language: 'yue', reasoning: { effort: 'low' } },
    ],
    [{ transcription: null, session: { tracing: 'auto' } }, { transcription: null }],
    [{ noiseReduction: null, speed: null, tools: null }, { noiseReduction: null }],
    [
      { maxCallSeconds: 60, turnDetection: { type: 'semantic_vad' } },
      { maxCallSeconds: 60, turnDetection: { type: 'semantic_vad' } },
    ],
    [{ voice: 'nova', model: 'gpt-4o', temperature: 0.7, id: 7, filler: '/etc/passwd', name: 'Care' }, {}],
  ])('%j', (data, fields) => {
    expect(read(data)).toEqual({ fields, problems: [] });
  });

  test.each([
    [{ systemPrompt: 7 }, 'systemPrompt'],
    [{ greeting: { text: 'Ciao' } }, 'greeting.text is not a field that exists'],
    [{ language: 'italian' }, 'language'],
    [{ speed: 'fast' }, 'speed must be number'],
    [{ transferExtensions: ['200', '+390'] }, 'transferExtensions.1'],
    [{ tools: [{ type: 'shell' }] }, 'tools.0.type'],
  ])('%j is left out, and said', (data, problem) => {
    const { fields, problems } = read({ ...data, maxCallSeconds: 60 });
    expect(fields).toEqual({ maxCallSeconds: 60 });
    expect(problems).toEqual([expect.stringContaining(problem)]);
  });

  test.each(['', 'null', '[]', '"x"', '{}', '{"data":null}', '{"data":[]}'])('%s is no answer', (text) => {
    expect(() => readRemoteAnswer(text)).toThrow();
  });
});

describe('merging', () => {
  test.each([
    [{ transcription: { language: 'it' } }, { transcription: { language: 'it' } }],
    [{ language: 'it' }, { transcription: { ...listening, language: 'it' }, language: 'it' }],
    [{ transcriptionModel: 'own-deployment' }, { transcription: { ...listening, model: 'own-deployment' } }],
    [{ transcriptionModel: null }, { transcription: null }],
    [{ speed: 1.1 }, { transcription: listening, speed: 1.1 }],
  ])('transcription, under its older names too: %j', (data, fields) => {
    const local = checkAgentProfile({ instructions: 'own', transcription: listening }, 'own');
    expect(merge(data, local)).toEqual({ profile: { ...local, ...fields }, problems: [] });
  });

  test('transcription of the backend takes the place of the older name of the local one', () => {
    const local = checkAgentProfile({ instructions: 'own', transcriptionModel: 'whisper-1' }, 'own');
    const { profile } = merge({ transcription: { language: 'it' } }, local);
    expect(profile).toEqual({ instructions: 'own', transcription: { language: 'it' } });
  });

  test('how another agent listens is inherited, not what it listens for', () => {
    const fallback = checkAgentProfile({ instructions: 'other', transcription: listening }, 'other');
    const { profile } = merge({ systemPrompt: 'remote' }, null, fallback);
    expect(profile).toEqual({ instructions: 'remote', transcription: { model: 'gpt-transcribe' } });
  });

  test('a tool that is to be called has to be there', () => {
    const { profile, problems } = merge({ toolChoice: { type: 'function', name: 'nowhere' } });
    expect(profile).toEqual(own);
    expect(problems).toEqual(['toolChoice is "nowhere", but tools does not have it']);
  });

  test('what the backend says wins, the rest stays', () => {
    expect(merge({ systemPrompt: 'remote', greeting: 'Ciao' })).toEqual({
      profile: { ...own, instructions: 'remote', greeting: { say: 'Ciao' } },
      problems: [],
    });
  });

  test('the hosts of webhooks can be narrowed, never widened', () => {
    const wider = merge({ webhookHosts: ['shop.example', 'metadata.internal'] });
    expect(wider.profile?.webhookHosts).toEqual(['shop.example']);
    expect(wider.problems).toEqual([expect.stringContaining('webhookHosts')]);
    const none = merge({ webhookHosts: [] });
    expect(none.profile?.webhookHosts).toEqual([]);
    expect(none.profile?.tools).toEqual([{ type: 'transfer_to_extension' }]);
    expect(merge({ systemPrompt: 'x', webhookHosts: ['a.example'] }, null).profile).toMatchObject({
      webhookHosts: [],
    });
  });

  test("the backend's tools call local hosts only, and get no secrets", () => {
    const tools = (url: string, headers?: Record<string, string>) =>
      merge({ tools: [webhook(url, headers)] }).profile?.tools;
    expect(tools('https://api.example/x')).toHaveLength(1);
    expect(tools('http://169.254.169.254/')).toEqual([]);
    expect(tools('https://{{host}}/')).toEqual([]);
    expect(tools('https://api.example/', { authorization: '${'.concat('WEBHOOK_TOKEN}') })).toEqual([]);
  });

  test('extensions may be set, and the fallback stays reachable', () => {
    expect(merge({ transferExtensions: ['300', '301'] }).profile).toMatchObject({
      transferExtensions: ['300', '301', '200'],
      fallbackExtension: '200',
    });
    expect(merge({ transferExtensions: ['300'], fallbackExtension: '300' }).profile?.fallbackExtension).toBe('300');
    const foreign = merge({ fallbackExtension: '0900123456' });
    expect(foreign.profile).toMatchObject({ fallbackExtension: '200', transferExtensions: ['200'] });
    expect(foreign.problems).toHaveLength(1);
  });

  test('a list with a bad extension leaves the local one in force', () => {
    const { profile, problems } = merge({ transferExtensions: ['300', '00390123*9'] });
    expect(profile?.transferExtensions).toEqual(['200']);
    expect(problems).toHaveLength(1);
  });

  test('an agent without a local profile may do what the default may, and speaks for itself', () => {
    const { profile } = merge({ systemPrompt: 'remote' }, null, { ...own, language: 'en' });
    const { instructions, greeting, ...abilities } = own;
    expect(profile).toEqual({ ...abilities, instructions: 'remote' });
    expect(merge({ language: 'it' }, null, own).profile).toBeUndefined();
  });

  test('without any local profile it may do little', () => {
    const tools = [{ type: 'transfer_to_extension' }, { type: 'end_call' }, webhook('https://api.example/')];
    const { profile, problems } = merge({ systemPrompt: 'remote', tools }, null);
    expect(problems).toHaveLength(2);
    expect(profile).toEqual({
      instructions: 'remote',
      tools: [{ type: 'end_call' }],
    });
  });

  test('the filler stays that of this machine', () => {
    const local = { ...own, filler: 'hold.wav', fillerFile: '/agents/hold.wav' };
    expect(mergeRemote(read({ filler: '../x' }), local, undefined, 'it').profile).toMatchObject({
      filler: 'hold.wav',
      fillerFile: '/agents/hold.wav',
    });
  });
});
