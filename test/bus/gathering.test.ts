import { MessageChannel } from 'node:worker_threads';
import { describe, expect, it, onTestFinished } from 'vitest';
import { BusPeer, bidi, clientStream, defineService, serverStream, unary } from '../../src/bus/index.ts';
import { connect, failure } from './support/peers.ts';

const Lab = defineService('lab', {
  up: clientStream<unknown, unknown[]>({ window: 8, gather: true }),
  down: serverStream<number, number>({ window: 100, gather: true }),
  alone: clientStream<unknown, unknown[]>(),
  both: bidi<number, number>({ up: { gather: true }, down: { gather: true } }),
  echo: unary<unknown, unknown>(),
});

const collect = async (_request: unknown, source: AsyncIterable<unknown>) => {
  const items: unknown[] = [];
  for await (const item of source) items.push(item);
  return items;
};

function lab() {
  const { port1, port2 } = new MessageChannel();
  let messages = 0;
  port2.on('message', () => {
    messages += 1;
  });
  const left = new BusPeer(port1);
  const right = new BusPeer(port2);
  right.serve(Lab, {
    up: collect,
    alone: collect,
    down(count, sink) {
      for (let i = 0; i < count; i++) sink.write(i);
      sink.end();
    },
    async both(_request, source, sink) {
      await source.onItem((item) => void sink.write(item * 2));
      sink.end();
    },
    echo: (value) => value,
  });
  onTestFinished(() => {
    left.close();
    right.close();
  });
  return { client: left.client(Lab), received: () => messages };
}

describe('streams that gather', () => {
  it('share one message for all that is written in a turn, by however many calls', async () => {
    const { client, received } = lab();
    const calls = Array.from({ length: 20 }, () => client.up());
    await client.echo(0);
    const before = received();
    for (const { sink } of calls) sink.write('a');
    await Promise.resolve();
    for (const { sink } of calls) sink.write('b');
    await client.echo(0);
    // Two turns of microtasks, and the echo.
    expect(received() - before).toBe(3);
    for (const { sink } of calls) sink.end();
    for (const { answer } of calls) expect(await answer).toEqual(['a', 'b']);
  });

  it('leave others a message of their own', async () => {
    const { client, received } = lab();
    const { sink, answer } = client.alone();
    await client.echo(0);
    const before = received();
    for (let i = 0; i < 5; i++) sink.write(i);
    sink.end();
    await answer;
    expect(received() - before).toBe(6);
  });

  it('keep the order with what is not gathered', async () => {
    const { client } = lab();
    const { sink, answer } = client.up();
    sink.write(1);
    sink.write(2);
    sink.end();
    expect(await answer).toEqual([1, 2]);
  });

  it('keep to their credit', async () => {
    const { client } = lab();
    const { sink, answer } = client.up();
    for (let i = 0; i < 40; i++) sink.write(i);
    expect(sink.queued).toBe(32);
    sink.end();
    expect(await answer).toEqual(Array.from({ length: 40 }, (_, i) => i));
  });

  it('go down as they go up', async () => {
    const { client } = lab();
    const items: number[] = [];
    await client.down(50).onItem((item) => void items.push(item));
    expect(items).toEqual(Array.from({ length: 50 }, (_, i) => i));
    const call = client.both();
    call.sink.write(21);
    call.sink.end();
    const doubled: number[] = [];
    await call.onItem((item) => void doubled.push(item));
    expect(doubled).toEqual([42]);
  });

  it('move what is transferred', async () => {
    const { client } = lab();
    const [a, b] = [client.up(), client.up()];
    const bytes = [new Uint8Array([1]), new Uint8Array([2])];
    a.sink.write(bytes[0], [bytes[0]!.buffer]);
    b.sink.write(bytes[1], [bytes[1]!.buffer]);
    a.sink.end();
    b.sink.end();
    expect(await a.answer).toEqual([new Uint8Array([1])]);
    expect(await b.answer).toEqual([new Uint8Array([2])]);
    expect(bytes.map(({ length }) => length)).toEqual([0, 0]);
  });

  it('fail alone when they write what cannot be cloned', async () => {
    const { client } = lab();
    const [good, bad] = [client.up(), client.up()];
    good.sink.write('fine');
    bad.sink.write(() => {});
    good.sink.write('still fine');
    good.sink.end();
    expect(await good.answer).toEqual(['fine', 'still fine']);
    expect(await failure(bad.answer)).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('are lost with their peer and hurt nobody', async () => {
    const { client, left } = connect(Lab, {
      up: collect,
      alone: collect,
      down() {},
      async both() {},
      echo: (value) => value,
    });
    const { sink, answer } = client.up();
    sink.write(1);
    left.close();
    expect(await failure(answer)).toMatchObject({ code: 'UNAVAILABLE' });
  });
});
