import type { RealtimeClientEvent } from 'openai/resources/realtime/realtime';
import { beforeEach, describe, expect, it } from 'vitest';
import { ToolRunner } from '../../src/realtime/tool-runner.ts';
import type { ReplayItem } from '../../src/upstream/conversation.ts';
import type { ConversationHost, ReplyAudio, ToolCall, ToolResult } from '../../src/upstream/host.ts';

let sent: RealtimeClientEvent[];
let marks: ReplyAudio[];
let goneOn: number;
let isConnected: boolean;
let running: Map<string, PromiseWithResolvers<ToolResult>>;
let tools: ToolRunner;

beforeEach(() => {
  sent = [];
  marks = [];
  goneOn = 0;
  isConnected = true;
  running = new Map();
  const host = {
    audio: (audio: ReplyAudio) => marks.push(audio),
    runTool: ({ toolCallId }: ToolCall) => {
      const result = Promise.withResolvers<ToolResult>();
      running.set(toolCallId, result);
      return result.promise;
    },
  } as unknown as ConversationHost;
  const link = {
    send(event: RealtimeClientEvent) {
      if (isConnected) sent.push(event);
      return isConnected;
    },
  };
  const responses = {
    request: () => {
      goneOn += 1;
    },
  };
  tools = new ToolRunner({ link, host, responses, settings: { toolChoice: 'auto' } });
});

const call = (toolCallId: string): ToolCall => ({
  itemId: `item_${toolCallId}`,
  toolCallId,
  name: 'look',
  arguments: '{}',
});
async function finish(toolCallId: string, output = '{}', respond = true): Promise<void> {
  running.get(toolCallId)!.resolve({ output, respond });
  await new Promise((resolve) => setImmediate(resolve));
}
const outputs = () =>
  sent
    .map((event) => (event as { item: { call_id: string; output: string } }).item)
    .map((item) => [item.call_id, item.output]);

describe('ToolRunner', () => {
  it('tells each result at once, and goes on when all are in and the response is done', async () => {
    tools.call('r1', call('c1'));
    tools.call('r1', call('c2'));
    expect(marks).toEqual([
      { kind: 'tool', toolCallId: 'c1' },
      { kind: 'tool', toolCallId: 'c2' },
    ]);
    await finish('c2', '{"two":2}');
    expect(outputs()).toEqual([['c2', '{"two":2}']]);
    tools.responseDone('r1');
    expect(goneOn).toBe(0);
    expect(tools.isBusy).toBe(true);
    await finish('c1', '{"one":1}');
    expect(outputs()).toHaveLength(2);
    expect(goneOn).toBe(1);
    expect(tools.isBusy).toBe(false);
  });

  it('waits for the response to be done', async () => {
    tools.call('r1', call('c1'));
    await finish('c1');
    expect(goneOn).toBe(0);
    tools.responseDone('r1');
    expect(goneOn).toBe(1);
    tools.responseDone('r1');
    tools.responseDone('unknown');
    expect(goneOn).toBe(1);
  });

  it('does not go on when no result asks for it', async () => {
    tools.call('r1', call('c1'));
    tools.responseDone('r1');
    await finish('c1', '{}', false);
    expect(outputs()).toHaveLength(1);
    expect(goneOn).toBe(0);
  });

  it('tells the model of a gateway that failed', async () => {
    tools.call('r1', call('c1'));
    tools.responseDone('r1');
    running.get('c1')!.reject(new Error('the bus is gone'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(outputs()).toEqual([['c1', '{"error":"the bus is gone"}']]);
    expect(goneOn).toBe(1);
  });

  it('tells a result that came without a connection to the next one, unless that knows it', async () => {
    for (const id of ['c1', 'c2', 'c3']) tools.call('r1', call(id));
    isConnected = false;
    for (const id of ['c1', 'c2', 'c3']) await finish(id);
    isConnected = true;
    const known: ReplayItem[] = [
      { kind: 'tool', ...call('c1'), output: '{}' },
      { kind: 'tool', ...call('c2') },
    ];
    tools.restored(known);
    // The third the new connection was not told of, so that it cannot be answered there.
    expect(outputs()).toEqual([['c2', '{}']]);
    expect(goneOn).toBe(1);
    tools.restored(known);
    expect(outputs()).toHaveLength(1);
    expect(goneOn).toBe(1);
  });

  it('goes on over a new connection with what still runs', async () => {
    tools.call('r1', call('c1'));
    tools.restored([{ kind: 'tool', ...call('c1') }]);
    expect(goneOn).toBe(0);
    await finish('c1');
    expect(outputs()).toEqual([['c1', '{}']]);
    expect(goneOn).toBe(1);
  });

  it('waits for what an earlier session called', async () => {
    tools.takeOver([
      { kind: 'message', itemId: 'u', role: 'user', text: 'Hi' },
      { kind: 'tool', ...call('c1'), output: '{}' },
      { kind: 'tool', ...call('c2') },
    ]);
    expect([...running.keys()]).toEqual(['c2']);
    expect(tools.isBusy).toBe(true);
    await finish('c2', '{"late":true}');
    expect(outputs()).toEqual([['c2', '{"late":true}']]);
    expect(goneOn).toBe(1);
    tools.takeOver([]);
    expect(tools.isBusy).toBe(false);
  });
});
