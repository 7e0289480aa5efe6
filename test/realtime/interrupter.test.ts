import type { RealtimeClientEvent } from 'openai/resources/realtime/realtime';
import { beforeEach, describe, expect, it } from 'vitest';
import { Interrupter } from '../../src/realtime/interrupter.ts';
import { ReplyItems } from '../../src/realtime/reply-items.ts';
import type { ConversationHost, InterruptVerdict, OpenItem, SessionEvent } from '../../src/upstream/host.ts';

let sent: RealtimeClientEvent[];
let events: SessionEvent[];
let cancelled: string[];
let asked: (readonly OpenItem[])[];
/** What the gateway answers, one after the other. */
let verdicts: ((items: readonly OpenItem[]) => Partial<InterruptVerdict>)[];
let items: ReplyItems;
let interrupter: Interrupter;

beforeEach(() => {
  sent = [];
  events = [];
  cancelled = [];
  asked = [];
  verdicts = [];
  const host = {
    event: (event: SessionEvent) => events.push(event),
    audio: () => {},
    interrupt: async (open: readonly OpenItem[]) => {
      asked.push(open);
      const verdict = verdicts.shift();
      if (!verdict) throw new Error('the call is over');
      return { cuts: [], heard: [], isProtected: false, ...verdict(open) };
    },
  } as unknown as ConversationHost;
  items = new ReplyItems(host, 8, () => 0);
  interrupter = new Interrupter({
    link: { send: (event) => sent.push(event) > 0 },
    host,
    items,
    responses: { cancel: (responseId) => cancelled.push(responseId) },
    told: { previousOf: (itemId) => (itemId === 'first' ? 'root' : undefined) },
  });
});

function receive(itemId: string, ms: number, responseId = 'r1') {
  const item = items.get(itemId, responseId);
  items.audio(item, Buffer.alloc(ms * 8).toString('base64'));
  return item;
}

const cut = (itemId: string, heardMs: number) => () => ({ cuts: [{ itemId, heardMs }] });
const truncates = () => sent.filter((event) => event.type === 'conversation.item.truncate');

describe('an interruption', () => {
  it('truncates to what was heard, in whole milliseconds, and never beyond what came', async () => {
    receive('a', 1000);
    receive('b', 500);
    verdicts = [
      () => ({
        cuts: [
          { itemId: 'a', heardMs: 420.9 },
          { itemId: 'b', heardMs: 9999 },
        ],
      }),
    ];
    await interrupter.interrupt({ startedAtMs: 1, active: new Set(['r1']), cancel: false });
    expect(truncates()).toMatchObject([{ item_id: 'a', content_index: 0, audio_end_ms: 420 }]);
    expect(cancelled).toEqual([]);
    expect(events).toEqual([{ type: 'truncated', itemId: 'a', audioEndMs: 420 }]);
  });

  it('that overlaps with another truncates once', async () => {
    receive('a', 1000);
    verdicts = [cut('a', 400), cut('a', 400)];
    const interruption = { startedAtMs: 1, active: new Set(['r1']), cancel: false };
    await Promise.all([interrupter.interrupt(interruption), interrupter.interrupt(interruption)]);
    expect(asked).toHaveLength(2);
    expect(truncates()).toHaveLength(1);
  });

  it('cancels only where the server does not, and not what is protected', async () => {
    receive('a', 1000);
    verdicts = [() => ({ isProtected: true }), cut('a', 100)];
    const interruption = { startedAtMs: 1, active: new Set(['r1']), cancel: true };
    await interrupter.interrupt(interruption);
    expect(cancelled).toEqual([]);
    expect(items.isInterrupted('r1')).toBe(false);
    await interrupter.interrupt(interruption);
    expect(cancelled).toEqual(['r1']);
    expect(items.isInterrupted('r1')).toBe(true);
  });

  it('cancels a response that has nothing to be heard yet', async () => {
    verdicts = [() => ({})];
    await interrupter.interrupt({ startedAtMs: 1, active: new Set(['r1']), cancel: true });
    expect(cancelled).toEqual(['r1']);
    expect(truncates()).toEqual([]);
  });

  it('asks once more about what came in while the gateway decided', async () => {
    receive('a', 1000);
    verdicts = [
      (open) => {
        receive('b', 300);
        return { cuts: [{ itemId: open[0]!.itemId, heardMs: 10 }] };
      },
      cut('b', 0),
    ];
    await interrupter.interrupt({ startedAtMs: 1, active: new Set(['r1']), cancel: true });
    expect(asked.map((open) => open.map(({ itemId }) => itemId))).toEqual([['a'], ['b']]);
    expect(truncates()).toMatchObject([
      { item_id: 'a', audio_end_ms: 10 },
      { item_id: 'b', audio_end_ms: 0 },
    ]);
  });

  it('drops what the server still sends of what it has cancelled, at once', async () => {
    const item = receive('a', 1000);
    verdicts = [cut('a', 10)];
    const done = interrupter.interrupt({ startedAtMs: 1, active: new Set(['r1']), cancel: false });
    receive('a', 200);
    expect(item).toMatchObject({ receivedMs: 1000, droppedMs: 200 });
    await done;
  });

  it('cuts from the memory of the server what was dropped of a reply that was heard as far as it had come', async () => {
    const item = receive('a', 1000.5);
    verdicts = [() => ({ heard: ['a'] })];
    const done = interrupter.interrupt({ startedAtMs: 1, active: new Set(['r1']), cancel: false });
    receive('a', 200);
    items.finish([item]);
    interrupter.settle([item]);
    // Not before the verdict, which might cut it shorter.
    expect(truncates()).toEqual([]);
    await done;
    await new Promise((resolve) => setImmediate(resolve));
    expect(truncates()).toMatchObject([{ item_id: 'a', audio_end_ms: 1000 }]);
  });

  it('does not truncate twice what was cut and went on', async () => {
    const item = receive('a', 1000);
    verdicts = [cut('a', 300)];
    await interrupter.interrupt({ startedAtMs: 1, active: new Set(['r1']), cancel: false });
    receive('a', 200);
    interrupter.settle([item]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(truncates()).toHaveLength(1);
  });

  it('survives a gateway that no longer answers', async () => {
    receive('a', 1000);
    await interrupter.interrupt({ startedAtMs: 1, active: new Set(['r1']), cancel: true });
    expect(sent).toEqual([]);
  });

  it('replaces what the connection knows as text', async () => {
    receive('first', 1000).text = 'one two three four';
    items.retold();
    verdicts = [cut('first', 500)];
    await interrupter.interrupt({ startedAtMs: 1, active: new Set(), cancel: false });
    expect(sent).toMatchObject([
      { type: 'conversation.item.delete', item_id: 'first' },
      {
        type: 'conversation.item.create',
        previous_item_id: 'root',
        item: { role: 'assistant', content: [{ type: 'output_text', text: 'one two' }] },
      },
    ]);
    const { item } = sent[1] as { item: { id: string } };
    expect(item.id).toMatch(/^[A-Za-z0-9_-]{1,32}$/);
    expect(events).toEqual([{ type: 'item_renamed', itemId: 'first', newItemId: item.id }]);
  });

  it('deletes what the connection knows as text and nobody heard', async () => {
    receive('second', 1000).text = 'one two three four';
    items.retold();
    verdicts = [cut('second', 0)];
    await interrupter.interrupt({ startedAtMs: 1, active: new Set(), cancel: false });
    expect(sent).toEqual([{ type: 'conversation.item.delete', item_id: 'second' }]);
  });
});

describe('a refused truncation', () => {
  const SHORTER = 'Audio content of 915ms is already shorter than 960ms';

  async function truncate(): Promise<string> {
    receive('a', 1000);
    verdicts = [cut('a', 960)];
    await interrupter.interrupt({ startedAtMs: 1, active: new Set(['r1']), cancel: false });
    return truncates()[0]!.event_id!;
  }

  it('is repeated once, at the length that the server quotes', async () => {
    expect(interrupter.rejected(await truncate(), SHORTER)).toBe(true);
    expect(truncates()).toMatchObject([{ audio_end_ms: 960 }, { item_id: 'a', audio_end_ms: 915 }]);
    expect(interrupter.rejected(truncates()[1]!.event_id!, SHORTER)).toBe(true);
    expect(truncates()).toHaveLength(2);
  });

  it('for another reason is let be', async () => {
    expect(interrupter.rejected(await truncate(), 'Only model output audio messages can be truncated')).toBe(true);
    expect(truncates()).toHaveLength(1);
  });

  it('of another connection is nobody’s', async () => {
    const eventId = await truncate();
    interrupter.lost();
    expect(interrupter.rejected(eventId, SHORTER)).toBe(false);
    expect(interrupter.rejected('session-config', SHORTER)).toBe(false);
  });
});
