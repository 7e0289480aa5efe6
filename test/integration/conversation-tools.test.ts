import type { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AgentProfile } from '../../src/backend/profiles/agent-profile.ts';
import type { Faults, SimulatorConnection } from '../../src/simulator/server.ts';
import { always, sendAnswer, TestServer } from '../backend/support/http-server.ts';
import { TestCall } from '../support/call.ts';
import {
  aiLine,
  BYTES_PER_MS,
  deliveredMs,
  eventually,
  hum,
  lineBytes,
  nextEvent,
  played,
  received,
  say,
  send,
  silence,
  userLine,
} from '../support/caller.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';
import { scriptedFixtures } from '../support/script.ts';
import { terminateWorkerOf } from '../support/worker-threads.ts';

const ORDER = { name: 'lookup_order', arguments: { number: '4711' } };
const CARRIER = { name: 'lookup_carrier', arguments: { order: '4711' } };
/** What the assistant calls for which of the caller's wishes. */
const RULES = [
  { whenAny: ['arrive'], say: [], tool: [ORDER, CARRIER], afterTool: ['order-eta'] },
  { whenAny: ['order'], say: ['one-moment'], tool: ORDER, afterTool: ['order-eta'] },
  {
    whenAny: ['return'],
    say: [],
    tool: { name: 'transfer_to_extension', arguments: { extension: '00390899123456' } },
    afterTool: ['sorry-again'],
  },
];

const PARAMETERS = { type: 'object', properties: { number: { type: 'string' }, order: { type: 'string' } } };

let gateway: TestGateway;
let service: TestServer;
let fixtures: ReturnType<typeof scriptedFixtures>;
let calls = 0;
let current: TestCall | undefined;
let errorsBefore: Record<string, number>;

beforeAll(async () => {
  service = await TestServer.start(always(200));
  fixtures = scriptedFixtures(RULES);
  const profile: AgentProfile = {
    ...QUIET_PROFILE,
    tools: [
      ...[ORDER, CARRIER].map(({ name }) => ({
        type: 'webhook' as const,
        name,
        description: 'Looks something up',
        parameters: PARAMETERS,
        url: `${service.url}/${name}`,
        timeoutMs: 20_000,
      })),
      { type: 'transfer_to_extension' },
      { type: 'end_call' },
    ],
    webhookHosts: [service.host],
    transferExtensions: ['200'],
  };
  const impatient = {
    ...profile,
    tools: profile.tools!.map((tool) => (tool.type === 'webhook' ? { ...tool, timeoutMs: 200 } : tool)),
  };
  gateway = await startGateway({
    env: { SESSION_WORKERS: '1' },
    simulator: { fixturesDir: fixtures.folder, speedup: 40 },
    profiles: { tools: profile, impatient },
    overrides: { reconnect: { firstBackoffMs: 20, maxBackoffMs: 100 } },
  });
});
afterAll(async () => {
  await gateway.stop();
  await service.close();
  fixtures.remove();
});
beforeEach(() => {
  service.received.length = 0;
  service.answer = always(200, { status: 'shipped' });
  errorsBefore = gateway.simulator.stats.errors;
});

afterEach(() => current?.end());

async function begin(aiAgentRef = 'tools', faults: Faults = {}) {
  const call = new TestCall(gateway.url, `tools-${++calls}`);
  current = call;
  gateway.simulator.nextConnection(faults);
  const connected = gateway.simulator.waitForConnection();
  expect(await call.create({ aiAgentRef })).toMatchObject({ status: 200 });
  return { call, connection: await connected };
}

/** What the model was told its functions returned. */
function outputsOf(connection: SimulatorConnection): string[] {
  return received(connection, 'conversation.item.create')
    .map(({ item }) => item as { type: string; output?: string })
    .filter(({ type }) => type === 'function_call_output')
    .map(({ output }) => output ?? '');
}

function expectNoErrors(): void {
  expect(gateway.simulator.stats.errors).toEqual(errorsBefore);
}

describe('a webhook', () => {
  it('that answers takes the conversation further, and is in the summary', async () => {
    const { call, connection } = await begin();
    await say(call, 'order');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
    expect(JSON.parse(service.received[0]!.body)).toMatchObject({
      arguments: { number: '4711' },
      call: { callId: call.callId },
    });
    expect(outputsOf(connection)).toEqual(['{"status":"shipped"}']);
    expect(received(connection, 'response.create')).toHaveLength(1);
    expectNoErrors();
    const { summary } = (await call.end()).body;
    expect(summary.transcript).toEqual([userLine('order'), aiLine('one-moment'), aiLine('order-eta')]);
    expect(summary.actions).toEqual([
      { name: 'lookup_order', arguments: { number: '4711' }, outcome: 'ok', durationMs: expect.any(Number) },
    ]);
  });

  it('that fails is told to the model, which goes on', async () => {
    service.answer = always(500, 'no such table: orders');
    const { call, connection } = await begin();
    await say(call, 'order');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
    expect(outputsOf(connection)).toEqual([expect.stringContaining('500')]);
    expect((await call.end()).body.summary.actions).toMatchObject([{ name: 'lookup_order', outcome: 'failed' }]);
  });

  it('that hangs is given up and told to the model, which goes on', async () => {
    service.answer = () => {};
    const { call, connection } = await begin('impatient');
    await say(call, 'order');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
    expect(outputsOf(connection)).toEqual([expect.stringContaining('did not answer')]);
    expect((await call.end()).body.summary.actions).toMatchObject([{ name: 'lookup_order', outcome: 'failed' }]);
  });

  it('that still runs when the call ends is given up with it', async () => {
    service.answer = () => {};
    const { call } = await begin();
    await say(call, 'order');
    await service.hasReceived(1);
    expect((await call.end()).body.summary.actions).toMatchObject([{ name: 'lookup_order', outcome: 'cancelled' }]);
  });

  it('beside another in one response: both results, then the agent is asked once', async () => {
    const { call, connection } = await begin();
    const open: ServerResponse[] = [];
    service.answer = (_, response) => open.push(response);
    const done = nextEvent(connection, 'serverEvent', 'response.done');
    await say(call, 'arrival');
    await service.hasReceived(2);
    await done;
    // The later call is answered first.
    sendAnswer(open[1]!, 200, { result: 2 });
    await eventually(() => outputsOf(connection).length === 1);
    expect(received(connection, 'response.create')).toEqual([]);
    sendAnswer(open[0]!, 200, { result: 1 });
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
    expect(outputsOf(connection).sort()).toEqual(['{"result":1}', '{"result":2}']);
    expect(received(connection, 'response.create')).toHaveLength(1);
    const types = connection.receivedTypes.filter((type) => type !== 'input_audio_buffer.append');
    expect(types.at(-1)).toBe('response.create');
    expectNoErrors();
    expect((await call.end()).body.summary.actions.map(({ name }: { name: string }) => name).sort()).toEqual([
      'lookup_carrier',
      'lookup_order',
    ]);
  });

  it('that runs while the caller speaks is told when it is done, and answered', async () => {
    const { call, connection } = await begin();
    const open: ServerResponse[] = [];
    service.answer = (_, response) => open.push(response);
    await say(call, 'order');
    await service.hasReceived(1);
    await call.pollUntil(({ lines }) => lines.includes(aiLine('one-moment')));
    await played(call);
    await send(call, Buffer.concat([hum(600), silence(800)]));
    await call.pollUntil(({ lines }) => lines.includes(aiLine('sorry-again')));
    await played(call);
    expect(outputsOf(connection)).toEqual([]);
    sendAnswer(open[0]!, 200, { status: 'found' });
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
    expect(outputsOf(connection)).toEqual(['{"status":"found"}']);
    expect(received(connection, 'response.create')).toHaveLength(1);
    expectNoErrors();
  });

  it.each<[string, Faults]>([
    ['cancels its reply', {}],
    ['has generated its reply', { bargeIn: 'after_generation' }],
    ['takes no notice', { bargeIn: 'ignored' }],
  ])('goes on when the caller interrupts what was said before it, while the upstream %s', async (_, faults) => {
    const { call, connection } = await begin('tools', faults);
    const open: ServerResponse[] = [];
    service.answer = (_request, response) => open.push(response);
    await say(call, 'order');
    await service.hasReceived(1);
    await call.pollUntil((poller) => deliveredMs(poller) >= 600, 'timeout=1000&maxMs=600');
    await played(call, 600);
    await send(call, Buffer.concat([hum(600), silence(800)]));
    await call.pollUntil(({ lines }) => lines.includes(aiLine('sorry-again')));
    expect(call.generation).toBe(1);
    await played(call);
    expect(outputsOf(connection)).toEqual([]);
    sendAnswer(open[0]!, 200, { status: 'found' });
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
    expect(outputsOf(connection)).toEqual(['{"status":"found"}']);
    expect(received(connection, 'response.create')).toHaveLength(1);
    expectNoErrors();
    const { summary } = (await call.end()).body;
    expect(aiLine('one-moment').startsWith(summary.transcript[1])).toBe(true);
    expect(summary.transcript[1].length).toBeLessThan(aiLine('one-moment').length);
    expect(summary.transcript.slice(3)).toEqual([aiLine('sorry-again'), aiLine('order-eta')]);
    expect(summary.actions).toMatchObject([{ name: 'lookup_order', outcome: 'ok' }]);
  });

  it.each(['while there is no connection', 'once there is another'])(
    'whose call lost its connection and that answers %s goes on with its result, once',
    async (when) => {
      const { call, connection } = await begin('tools', { drop: { at: 'tool' } });
      const open: ServerResponse[] = [];
      service.answer = (_, response) => open.push(response);
      const lost = new Promise((resolve) => connection.once('close', resolve));
      if (when === 'while there is no connection') gateway.simulator.nextConnection({ handshakeDelayMs: 500 });
      const again = gateway.simulator.waitForConnection();
      await say(call, 'order');
      await service.hasReceived(1);
      await lost;
      if (when === 'while there is no connection') sendAnswer(open[0]!, 200, { status: 'found' });
      const second = await again;
      if (when === 'once there is another') {
        await eventually(() => received(second, 'conversation.item.create').length >= 3);
        sendAnswer(open[0]!, 200, { status: 'found' });
      }
      await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
      await played(call);
      expect(outputsOf(second)).toEqual(['{"status":"found"}']);
      expect(received(second, 'response.create')).toHaveLength(1);
      expectNoErrors();
      const { summary } = (await call.end()).body;
      const spoken = summary.transcript.filter((line: string) => line.startsWith('[AI]'));
      expect(spoken).toEqual([aiLine('one-moment'), aiLine('order-eta')]);
      expect(summary.transcript).toHaveLength(3);
      expect(summary.actions).toMatchObject([{ name: 'lookup_order', outcome: 'ok' }]);
    },
  );

  it('whose worker died is waited for by the next one', async () => {
    const { call } = await begin();
    const open: ServerResponse[] = [];
    service.answer = (_, response) => open.push(response);
    await say(call, 'order');
    await service.hasReceived(1);
    await call.pollUntil(({ lines }) => lines.includes(aiLine('one-moment')));
    const again = gateway.simulator.waitForConnection();
    await terminateWorkerOf(gateway, call.callId);
    const second = await again;
    await eventually(() => received(second, 'conversation.item.create').length >= 3);
    sendAnswer(open[0]!, 200, { status: 'found' });
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
    expect(outputsOf(second)).toEqual(['{"status":"found"}']);
    expect(received(second, 'response.create')).toHaveLength(1);
    expect(service.received).toHaveLength(1);
  });
});

describe('an action', () => {
  it('to transfer comes behind all that was said before it, and ends the call', async () => {
    const { call } = await begin();
    await say(call, 'person');
    let bytesBefore = 0;
    await call.pollUntil((poller) => {
      if (poller.actions.length === 0) bytesBefore = deliveredMs(poller) * BYTES_PER_MS;
      return !poller.hasMore;
    }, 'timeout=1000&maxMs=500');
    expect(call.actions).toEqual([
      { id: expect.any(String), type: 'transfer', extension: '200', reason: 'caller asked for a person' },
    ]);
    expect(bytesBefore).toBeLessThanOrEqual(lineBytes('transfer'));
    expect(call.heardBytes.get(0)).toBe(lineBytes('transfer'));
    expect(call.endReason).toBe('transferred');
    const { summary } = (await call.end()).body;
    expect(summary.transcript).toEqual([userLine('person'), aiLine('transfer')]);
    expect(summary.actions).toMatchObject([
      { name: 'transfer_to_extension', arguments: { extension: '200' }, outcome: 'ok' },
    ]);
  });

  it('to hang up comes behind the goodbye', async () => {
    const { call } = await begin();
    await say(call, 'goodbye');
    await call.pollUntil(({ hasMore }) => !hasMore);
    expect(call.actions).toEqual([{ id: expect.any(String), type: 'hangup', reason: 'caller said goodbye' }]);
    expect(call.heardBytes.get(0)).toBe(lineBytes('goodbye'));
    expect(call.endReason).toBe('agent_hangup');
  });

  it('that the caller interrupts is cancelled, and the model told', async () => {
    const { call, connection } = await begin('tools', { bargeIn: 'after_generation' });
    await say(call, 'person');
    await call.pollUntil((poller) => deliveredMs(poller) >= 1000, 'timeout=1000&maxMs=300');
    await played(call, 500);
    await say(call, 'goodbye');
    await call.pollUntil(({ hasMore }) => !hasMore);
    expect(call.actions).toMatchObject([{ type: 'hangup' }]);
    expect(outputsOf(connection)[0]).toContain('cancelled');
    const { summary } = (await call.end()).body;
    expect(summary.actions).toMatchObject([
      { name: 'transfer_to_extension', outcome: 'cancelled' },
      { name: 'end_call', outcome: 'ok' },
    ]);
    expect(summary.endReason).toBe('agent_hangup');
  });

  it('is refused where the profile does not list the extension, whatever the model was talked into', async () => {
    const { call, connection } = await begin();
    await say(call, 'returns');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('sorry-again')));
    expect(outputsOf(connection)).toEqual([expect.stringContaining('cannot be transferred')]);
    expect(call.actions).toEqual([]);
    expect(call.hasMore).toBe(true);
    expect((await call.end()).body.summary.actions).toMatchObject([
      { name: 'transfer_to_extension', arguments: { extension: '00390899123456' }, outcome: 'refused' },
    ]);
  });
});
