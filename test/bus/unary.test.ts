import { describe, expect, it } from 'vitest';
import { BusError, defineService, Status, unary, withTransfer } from '../../src/bus/index.ts';
import { Lab } from './support/lab.ts';
import { connect, connectPeers, failure, startLabWorker } from './support/peers.ts';

const Greeter = defineService('greeter', {
  hello: unary<{ name: string }, { text: string }>(),
  anything: unary<unknown, unknown>(),
});

function greet(anything: (request: unknown) => unknown = (request) => request) {
  return connect(Greeter, { hello: ({ name }) => ({ text: `Hello ${name}` }), anything });
}

describe('unary calls', () => {
  it('answers from a handler that returns and from one that resolves', async () => {
    const { client } = greet(async (request) => [request]);
    expect(await client.hello({ name: 'Ada' })).toEqual({ text: 'Hello Ada' });
    expect(await client.anything(7)).toEqual([7]);
  });

  it('carries requests and answers of every cloneable kind, undefined included', async () => {
    const { client } = greet();
    for (const value of [
      undefined,
      null,
      0,
      '',
      new Map([[1, new Set(['a'])]]),
      new Float32Array([1, 2]),
      [1, undefined, 3],
    ]) {
      expect(await client.anything(value)).toEqual(value);
    }
  });

  it('keeps the implementation as `this`', async () => {
    class Polite {
      #title = 'Dr';
      hello({ name }: { name: string }) {
        return { text: `Hello ${this.#title} ${name}` };
      }
      anything(request: unknown) {
        return request;
      }
    }
    const { client } = connect(Greeter, new Polite());
    const { hello } = client;
    expect(await hello({ name: 'Ada' })).toEqual({ text: 'Hello Dr Ada' });
  });

  it('goes both ways over one port, with the same call numbers on either side', async () => {
    const { left, right } = connectPeers();
    left.serve(Greeter, { hello: () => ({ text: 'left' }), anything: (value) => value });
    right.serve(Greeter, { hello: () => ({ text: 'right' }), anything: (value) => value });
    const [fromLeft, fromRight] = [left.client(Greeter), right.client(Greeter)];
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => [fromLeft.hello({ name: '' }), fromRight.hello({ name: '' })]).flat(),
    );
    expect(answers.map(({ text }) => text)).toEqual(Array.from({ length: 50 }, () => ['right', 'left']).flat());
    expect([left.pendingCalls, left.servedCalls, right.pendingCalls, right.servedCalls]).toEqual([0, 0, 0, 0]);
  });

  it('reaches a thread over a channel and over the worker’s own port', async () => {
    for (const over of ['channel', 'parentPort'] as const) {
      const lab = startLabWorker(over).peer.client(Lab);
      expect(await lab.echo({ over })).toEqual({ over });
    }
  });
});

describe('failing unary calls', () => {
  it('brings a BusError over unchanged, with its details and its causes', async () => {
    const lab = startLabWorker().peer.client(Lab);
    const error = await failure(lab.fail('no room'));
    expect(error).toMatchObject({
      name: 'BusError',
      code: Status.ResourceExhausted,
      message: 'no room',
      details: { retryAfterMs: 250 },
      cause: { name: 'TypeError', message: 'middle', cause: { name: 'RangeError', message: 'root', code: 'E_ROOT' } },
    });
    expect(error.cause).toBeInstanceOf(Error);
    // Where it was thrown, not where it arrived.
    expect(error.stack).toContain('lab-worker');
    expect((error.cause as Error).stack).toContain('lab-worker');
  });

  it('makes UNKNOWN of whatever else is thrown, at once or later', async () => {
    const cases: [() => unknown, { message: string; cause?: unknown }][] = [
      [
        () => {
          throw new TypeError('not a function');
        },
        { message: 'not a function', cause: { name: 'TypeError', message: 'not a function' } },
      ],
      [() => Promise.reject(new Error('later')), { message: 'later', cause: { name: 'Error' } }],
      [() => Promise.reject('text'), { message: 'text', cause: 'text' }],
      [() => Promise.reject(Object.create(null)), { message: '[Object: null prototype] {}', cause: expect.anything() }],
      [() => Promise.reject(undefined), { message: 'undefined' }],
    ];
    for (const [handler, expected] of cases) {
      expect(await failure(greet(handler).client.anything(null))).toMatchObject({ code: Status.Unknown, ...expected });
    }
  });

  it('survives a cause that refers to itself and one that cannot be cloned', async () => {
    const circular = new Error('circular');
    circular.cause = circular;
    const unclonable = new Error('unclonable', { cause: { callback: () => {} } });
    for (const thrown of [circular, unclonable]) {
      const { client } = greet(() => Promise.reject(thrown));
      expect(await failure(client.anything(null))).toMatchObject({ code: Status.Unknown, message: thrown.message });
    }
  });

  it('drops details that cannot be cloned, not the failure', async () => {
    const { client } = greet(() => {
      throw new BusError(Status.NotFound, 'no such thing', { details: () => {} });
    });
    const error = await failure(client.anything(null));
    expect(error).toMatchObject({ code: Status.NotFound, message: 'no such thing', details: undefined });
  });

  it('is UNIMPLEMENTED when nobody serves the method', async () => {
    const { left } = connectPeers();
    const error = await failure(left.client(Greeter).hello({ name: 'Ada' }));
    expect(error.code).toBe(Status.Unimplemented);
    expect(error.message).toContain('greeter.hello');
  });

  it('refuses to serve a service twice', () => {
    const { right } = greet();
    expect(() => right.serve(Greeter, { hello: () => ({ text: '' }), anything: () => 0 })).toThrowError(
      expect.objectContaining({ code: Status.AlreadyExists }),
    );
  });
});

describe('values that cannot be cloned', () => {
  it('fail the one call, as INVALID_ARGUMENT in a request and as INTERNAL in an answer', async () => {
    const { client, left, right, settled } = greet((request) => (request === 'function' ? () => {} : request));
    const [before, bad, badAnswer, after] = [
      client.anything('before'),
      client.anything(() => {}),
      client.anything('function'),
      client.anything('after'),
    ];
    expect(await failure(bad)).toMatchObject({ code: Status.InvalidArgument, cause: { name: 'DataCloneError' } });
    expect(await failure(badAnswer)).toMatchObject({ code: Status.Internal, cause: { name: 'DataCloneError' } });
    expect([await before, await after]).toEqual(['before', 'after']);
    await settled();
    expect([left.pendingCalls, right.servedCalls, left.isClosed, right.isClosed]).toEqual([0, 0, false, false]);
  });
});

describe('transfer', () => {
  it('moves a request’s buffer away from its sender', async () => {
    const lab = startLabWorker().peer.client(Lab);
    const bytes = new Uint8Array(4096);
    const length = lab.measure(bytes, { transfer: [bytes.buffer] });
    expect(bytes.byteLength).toBe(0);
    expect(await length).toBe(4096);
  });

  it('moves an answer’s buffer away from its handler', async () => {
    const buffer = new ArrayBuffer(4096);
    const { client } = greet(() => withTransfer({ buffer }, [buffer]));
    expect(await client.anything(null)).toEqual({ buffer: new ArrayBuffer(4096) });
    expect(buffer.byteLength).toBe(0);
    expect(await startLabWorker().peer.client(Lab).allocate(64)).toEqual(new ArrayBuffer(64));
  });

  it('fails the call when the buffer was moved before', async () => {
    const { client } = greet();
    const buffer = new ArrayBuffer(8);
    structuredClone(buffer, { transfer: [buffer] });
    expect(await failure(client.anything(null, { transfer: [buffer] }))).toMatchObject({
      code: Status.InvalidArgument,
    });
  });
});
