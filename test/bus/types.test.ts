import { MessageChannel } from 'node:worker_threads';
import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  type BidiCall,
  BusPeer,
  bidi,
  type CallContext,
  type ClientStreamCall,
  clientStream,
  defineService,
  type Handler,
  type Implementation,
  type ServerStreamCall,
  type Sink,
  type Source,
  serverStream,
  unary,
  withTransfer,
} from '../../src/bus/index.ts';

interface Tick {
  n: number;
}

const Typed = defineService('typed', {
  hello: unary<{ name: string }, { text: string }>(),
  now: unary<void, number>(),
  ticks: serverStream<{ everyMs: number }, Tick>({ window: 8, weigh: (tick) => tick.n }),
  upload: clientStream<Uint8Array, number>(),
  uplink: clientStream<Uint8Array, void, { sessionId: string }>({ window: 2_000, weigh: (bytes) => bytes.byteLength }),
  talk: bidi<string, Tick>({ up: { window: 4 }, down: { window: Infinity } }),
});

type Methods = (typeof Typed)['methods'];

describe('types', () => {
  it('flow from the definition to the client', () => {
    const { port1 } = new MessageChannel();
    const peer = new BusPeer(port1);
    const client = peer.client(Typed);
    expect(Object.keys(client)).toEqual(['hello', 'now', 'ticks', 'upload', 'uplink', 'talk']);

    expectTypeOf(client.hello).parameter(0).toEqualTypeOf<{ name: string }>();
    expectTypeOf<Awaited<ReturnType<typeof client.hello>>>().toEqualTypeOf<{ text: string }>();
    expectTypeOf<ReturnType<typeof client.ticks>>().toEqualTypeOf<ServerStreamCall<Tick>>();
    expectTypeOf<ReturnType<typeof client.upload>>().toEqualTypeOf<ClientStreamCall<Uint8Array, number>>();
    expectTypeOf<ReturnType<typeof client.talk>>().toEqualTypeOf<BidiCall<string, Tick>>();
    expectTypeOf<ReturnType<typeof client.talk>['sink']>().toEqualTypeOf<Sink<string>>();
    expectTypeOf(client.uplink).parameter(0).toEqualTypeOf<{ sessionId: string }>();

    // A method whose request is void needs none.
    expectTypeOf(client.now).toBeCallableWith();
    expectTypeOf(client.now).toBeCallableWith(undefined, { timeoutMs: 5 });
    expectTypeOf(client.upload).toBeCallableWith();
    peer.close();
  });

  it('refuse what the definition does not say', () => {
    const { port1 } = new MessageChannel();
    const peer = new BusPeer(port1);
    peer.close();
    const client = peer.client(Typed);
    const wrong = () => {
      // @ts-expect-error a request of another type
      client.hello({ nom: 'Ada' });
      // @ts-expect-error no request
      client.hello();
      // @ts-expect-error no such method
      client.goodbye({ name: 'Ada' });
      // @ts-expect-error windows are for streams
      client.hello({ name: 'Ada' }, { window: 3 });
      // @ts-expect-error items of another type
      client.upload().sink.write('text');
      // @ts-expect-error a weight needs a window
      serverStream<void, Tick>({ weigh: (tick) => tick.n });
      // @ts-expect-error a method is missing
      peer.serve(Typed, { hello: () => ({ text: '' }) });
      // @ts-expect-error an answer of another type
      const handler: Handler<Methods['hello']> = () => ({ txt: '' });
      return handler;
    };
    expect(wrong).toBeTypeOf('function');
  });

  it('flow from the definition to the implementation', () => {
    expectTypeOf<Parameters<Handler<Methods['hello']>>>().toEqualTypeOf<[{ name: string }, CallContext]>();
    expectTypeOf<Parameters<Handler<Methods['ticks']>>>().toEqualTypeOf<
      [{ everyMs: number }, Sink<Tick>, CallContext]
    >();
    expectTypeOf<Parameters<Handler<Methods['uplink']>>>().toEqualTypeOf<
      [{ sessionId: string }, Source<Uint8Array>, CallContext]
    >();
    expectTypeOf<Handler<Methods['talk']>>().parameter(0).toEqualTypeOf<void>();
    expectTypeOf<Handler<Methods['talk']>>().parameter(1).toEqualTypeOf<Source<string>>();
    expectTypeOf<Handler<Methods['talk']>>().parameter(2).toEqualTypeOf<Sink<Tick>>();
    const implementation: Implementation<Methods> = {
      hello: ({ name }) => withTransfer({ text: name }, []),
      now: async () => withTransfer(1, []),
      ticks: () => {},
      upload: async (_request, source) => {
        let total = 0;
        for await (const bytes of source) {
          expectTypeOf(bytes).toEqualTypeOf<Uint8Array>();
          total += bytes.byteLength;
        }
        return total;
      },
      uplink: async (_request, source) => source.onItem((bytes) => expectTypeOf(bytes).toEqualTypeOf<Uint8Array>()),
      talk(_request, source, sink) {
        source.onItem((text) => sink.write({ n: text.length }));
      },
    };
    expect(Object.keys(implementation)).toEqual(Object.keys(Typed.methods));
  });
});
