import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AgentProfile } from '../../src/backend/profiles/agent-profile.ts';
import { CallRecord } from '../../src/call/record/record.ts';
import { Transcript } from '../../src/call/record/transcript.ts';
import type { CallAction } from '../../src/call/reply/outbox.ts';
import { CallTools } from '../../src/call/tools.ts';
import type { ToolCall } from '../../src/upstream/host.ts';
import { always, TestServer } from '../backend/support/http-server.ts';

let service: TestServer;
let record: CallRecord;
let actions: CallAction[];
let said: Map<string, PromiseWithResolvers<void>>;
let finished: { name: string; outcome: string }[];
let tools: CallTools;

beforeEach(async () => {
  service = await TestServer.start(always(200, { status: 'shipped' }));
  record = new CallRecord(new Transcript({ pushTranscript: () => {} }));
  actions = [];
  said = new Map();
  finished = [];
  const profile: AgentProfile = {
    instructions: 'Answer.',
    tools: [
      {
        type: 'webhook',
        name: 'lookup',
        description: 'Looks up',
        parameters: { type: 'object' },
        url: `${service.url}/orders/{{number}}`,
        method: 'GET',
      },
      { type: 'transfer_to_extension' },
      { type: 'end_call' },
    ],
    webhookHosts: [service.host],
    transferExtensions: ['200'],
  };
  tools = new CallTools({
    profile,
    values: {
      callId: 'c1',
      tenantId: 't1',
      aiAgentRef: 'a1',
      storeId: undefined,
      callerNumber: undefined,
      did: undefined,
    },
    record,
    headers: {},
    log: pino({ level: 'silent' }),
    downlink: {
      said: (toolCallId) => {
        const mark = Promise.withResolvers<void>();
        said.set(toolCallId, mark);
        return mark.promise;
      },
    },
    outbox: { pushAction: (action) => actions.push(action) },
    observer: { toolFinished: (name, outcome) => finished.push({ name, outcome }) },
    mayAct: async () => true,
  });
});
afterEach(async () => {
  tools.close();
  await service.close();
});

let calls = 0;
function call(name: string, args: string | object = {}): ToolCall {
  const toolCallId = `call_${++calls}`;
  return {
    itemId: `item_${calls}`,
    toolCallId,
    name,
    arguments: typeof args === 'string' ? args : JSON.stringify(args),
  };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a webhook', () => {
  it('is run with the arguments, and recorded', async () => {
    const { output, respond } = await tools.run(call('lookup', ' {"number": "47/11"} \n'));
    expect({ output, respond }).toEqual({ output: '{"status":"shipped"}', respond: true });
    expect(service.received).toMatchObject([{ method: 'GET', url: expect.stringMatching(/^\/orders\/47%2F11/) }]);
    expect(record.actions).toEqual([
      { name: 'lookup', arguments: { number: '47/11' }, outcome: 'ok', durationMs: expect.any(Number) },
    ]);
    expect(finished).toEqual([{ name: 'lookup', outcome: 'ok' }]);
    expect(record.transcript.conversation.replay()).toMatchObject([{ kind: 'tool', name: 'lookup', output }]);
  });

  it('is run once, however often it is asked for', async () => {
    const one = call('lookup', { number: '1' });
    const [first, second] = await Promise.all([tools.run(one), tools.run(one)]);
    expect(second).toBe(first);
    expect(await tools.run(one)).toBe(first);
    expect(service.received).toHaveLength(1);
    expect(record.actions).toHaveLength(1);
  });

  it('is given up when the call ends', async () => {
    service.answer = () => {};
    const result = tools.run(call('lookup', { number: '1' }));
    await service.hasReceived(1);
    expect(record.isToolRunning).toBe(true);
    tools.close();
    expect(JSON.parse((await result).output)).toHaveProperty('error');
    expect(record.isToolRunning).toBe(false);
  });
});

describe('a call that makes no sense', () => {
  it.each([
    ['unknown', {}, /no tool/],
    ['transfer_to_extension', '{"extension":', /not a JSON object/],
    ['transfer_to_extension', '[]', /not a JSON object/],
    ['transfer_to_extension', 'null', /not a JSON object/],
    ['transfer_to_extension', {}, /cannot be transferred/],
    ['transfer_to_extension', { extension: '0900123456' }, /cannot be transferred/],
    ['transfer_to_extension', { extension: '200 ' }, /cannot be transferred/],
    ['transfer_to_extension', { extension: ['200', '0900123456'] }, /cannot be transferred/],
    ['transfer_to_extension', { extension: { toString: '200' } }, /cannot be transferred/],
  ])('%s %j is refused, and the model told', async (name, args, why) => {
    const { output, respond } = await tools.run(call(name, args));
    expect(JSON.parse(output).error).toMatch(why);
    expect(respond).toBe(true);
    expect(actions).toEqual([]);
    expect(record.actions).toMatchObject([{ outcome: 'refused' }]);
  });
});

describe('an action', () => {
  async function transfer(): Promise<{ one: ToolCall; result: ReturnType<CallTools['run']> }> {
    const one = call('transfer_to_extension', { extension: '200', reason: 'asked for' });
    const result = tools.run(one);
    await turn();
    return { one, result };
  }

  it('is queued behind what was said, and done when the client has it', async () => {
    const { one, result } = await transfer();
    expect(actions).toEqual([]);
    said.get(one.toolCallId)!.resolve();
    await turn();
    expect(actions).toEqual([{ id: expect.any(String), type: 'transfer', extension: '200', reason: 'asked for' }]);
    expect(tools.isUnderWay(actions[0]!.id)).toBe(true);
    tools.settleAction(actions[0]!.id, true);
    // The summary may be made in this very turn.
    expect(record.actions[0]!.outcome).toBe('ok');
    expect(await result).toMatchObject({ respond: false });
    expect(tools.isUnderWay(actions[0]!.id)).toBe(false);
  });

  it('that was withdrawn is told to the model', async () => {
    const { one, result } = await transfer();
    said.get(one.toolCallId)!.resolve();
    await turn();
    tools.settleAction(actions[0]!.id, false);
    expect((await result).output).toContain('cancelled');
    expect(record.actions[0]!.outcome).toBe('cancelled');
  });

  it('that is interrupted before it is queued never is', async () => {
    const { one, result } = await transfer();
    tools.interrupted();
    expect((await result).output).toContain('cancelled');
    said.get(one.toolCallId)!.resolve();
    await turn();
    expect(actions).toEqual([]);
  });

  it('that is queued is left to its owner at an interruption', async () => {
    const { one } = await transfer();
    said.get(one.toolCallId)!.resolve();
    await turn();
    tools.interrupted();
    expect(tools.isUnderWay(actions[0]!.id)).toBe(true);
  });

  it('that waits when the call ends is not carried out', async () => {
    const { one, result } = await transfer();
    tools.close();
    await result;
    said.get(one.toolCallId)!.resolve();
    await turn();
    expect(actions).toEqual([]);
    expect(record.actions[0]!.outcome).toBe('cancelled');
  });

  it('of others is none of its own', () => {
    expect(tools.isUnderWay('fallback')).toBe(false);
    tools.settleAction('fallback', true);
  });

  it('to hang up needs no extension', async () => {
    const one = call('end_call', { reason: 'x'.repeat(500) });
    void tools.run(one);
    await turn();
    said.get(one.toolCallId)!.resolve();
    await turn();
    expect(actions).toMatchObject([{ type: 'hangup', reason: 'x'.repeat(200) }]);
  });
});
