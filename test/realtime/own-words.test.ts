import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { afterTool, goesOn, goOn, sayWords } from '../../src/realtime/own-words.ts';
import type { RealtimeSession, RealtimeSetup } from '../../src/realtime/session.ts';
import type { RealtimeSettings } from '../../src/realtime/settings.ts';
import { type Faults, RealtimeSimulator, type SimulatorConnection } from '../../src/simulator/server.ts';
import type { ReplayItem } from '../../src/upstream/conversation.ts';
import { received } from '../support/caller.ts';
import { newSession, SETTINGS, type TestHost } from '../support/realtime.ts';

const HISTORY: readonly ReplayItem[] = [
  { kind: 'message', itemId: 'item_1', role: 'user', text: 'Where is it?' },
  { kind: 'tool', itemId: 'item_2', toolCallId: 'call_1', name: 'look_up', arguments: '{}', output: '{"at":"sea"}' },
  { kind: 'message', itemId: 'item_3', role: 'assistant', text: 'It is' },
];

describe('words of the gateway', () => {
  it('are the whole input of a response, and change no instructions', () => {
    const response = sayWords('Say exactly: "Hello."', 'greeting', SETTINGS);
    expect(response).toEqual({
      input: [{ type: 'message', role: 'system', content: [{ type: 'input_text', text: 'Say exactly: "Hello."' }] }],
      metadata: { why: 'greeting' },
    });
    expect(goesOn(response)).toBe(false);
  });

  it('are not to be replaced by a tool that the profile forces', () => {
    expect(sayWords('Hello.', 'prompt', { ...SETTINGS, toolChoice: 'required' }).tool_choice).toBe('none');
  });

  it('are not needed after a tool, which the answer to its result need not call again', () => {
    expect(afterTool(SETTINGS)).toBeUndefined();
    expect(afterTool({ ...SETTINGS, toolChoice: { type: 'function', name: 'x' } })).toEqual({ tool_choice: 'auto' });
  });

  it('come last when they are to go on, behind what was heard, however often that is asked for', () => {
    const words = sayWords('Hello.', 'greeting', SETTINGS);
    const once = goOn(words, HISTORY);
    expect(once.input?.map(({ type }) => type)).toEqual([
      'message',
      'function_call',
      'function_call_output',
      'message',
      'message',
      'message',
    ]);
    expect(once.input?.at(-1)).toEqual(words.input?.[0]);
    expect(once).toMatchObject({ metadata: { why: 'greeting' } });
    expect(goesOn(once)).toBe(true);
    expect(goOn(once, HISTORY)).toEqual(once);
    const answer = goOn(undefined, HISTORY);
    expect(answer.input).toHaveLength(5);
    expect(goOn(answer, HISTORY)).toEqual(answer);
  });
});

describe('the prompt cache', () => {
  let simulator: RealtimeSimulator;
  let session: RealtimeSession;
  let host: TestHost;
  const settings: RealtimeSettings = {
    ...SETTINGS,
    instructions: 'You are the telephone agent of a shop. Speak briefly.',
    tools: [{ name: 'end_call', description: 'Hang up.', parameters: { type: 'object' } }],
  };

  beforeAll(async () => {
    simulator = await RealtimeSimulator.listen({ speedup: 40, responseDelayMs: 2, transcriptionDelayMs: 1 });
  });
  afterEach(() => session.close());
  afterAll(() => simulator.close());

  async function open(options: Partial<RealtimeSetup>, faults: Faults = {}): Promise<SimulatorConnection> {
    ({ session, host } = newSession(simulator.url, { settings, ...options }));
    simulator.nextConnection(faults);
    const connected = simulator.waitForConnection();
    await session.open(10_000);
    return await connected;
  }

  /** Does something that is answered, and waits for the answer's end. */
  async function answered(action: () => void): Promise<void> {
    const before = host.all('response_done').length;
    action();
    await host.until(() => host.all('response_done').length > before);
    host.deliver(host.queuedFrames);
    host.nowMs += 60_000;
  }

  const cachedTokens = () =>
    host.all('response_done').map(({ tokens }) => (tokens?.cached_text ?? 0) + (tokens?.cached_audio ?? 0));

  it('serves every turn of a call but the first, greeting and prompts among them', async () => {
    const connection = await open({ greeting: { instructions: 'Say exactly: "Good morning."', interruptible: true } });
    await answered(() => {});
    for (let turn = 2; turn <= 10; turn++) {
      await answered(() => {
        if (turn === 4 || turn === 8) session.prompt('Say exactly: "Are you still there?"');
        else session.sendDtmf(`${turn % 10}#`);
      });
    }
    const cached = cachedTokens();
    expect(cached).toHaveLength(10);
    expect(cached.slice(1).every((tokens) => tokens > 0)).toBe(true);
    // An answer behind a prompt has the conversation before it in the cache, not the instructions alone.
    expect(cached[8]!).toBeGreaterThan(cached[7]!);
    expect(cached[8]!).toBeGreaterThanOrEqual(cached[6]!);
    const asked = received(connection, 'response.create') as { response?: { instructions?: string } }[];
    expect(asked.map(({ response }) => response?.instructions).filter((text) => text !== undefined)).toEqual([]);
  });

  it('is kept by a reply that goes on after its connection was lost', async () => {
    await open({}, { drop: { at: 'reply', afterMs: 100 } });
    session.sendDtmf('1#');
    const next = await simulator.waitForConnection();
    await host.until(() => host.all('response_done').length === 1);
    host.deliver(host.queuedFrames);
    host.nowMs += 60_000;
    const [create] = received(next, 'response.create') as { response: { input: { role?: string }[] } }[];
    expect(create?.response.input.at(-1)).toMatchObject({ role: 'system' });
    await answered(() => session.sendDtmf('2#'));
    expect(cachedTokens().at(-1)).toBeGreaterThan(0);
  });
});
