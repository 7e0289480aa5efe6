import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { BusError, defineService, Status, serverStream, unary } from '../../src/bus/index.ts';
import { Tag } from '../../src/bus/wire.ts';
import { connect, connectBare, failure } from './support/peers.ts';

const Echo = defineService('echo', {
  echo: unary<unknown, unknown>(),
  hang: unary<void, never>(),
  stream: serverStream<void, number>({ window: 2 }),
});

const implementation = {
  echo: (value: unknown) => value,
  hang: () => new Promise<never>(() => {}),
  stream() {},
};

/** Posts `frames`, then a proper call, and returns what the server made of all of it. */
async function afterPosting(...frames: unknown[]) {
  const { port, server } = connectBare(Echo, implementation);
  for (const frame of frames) port.postMessage(frame);
  port.postMessage([Tag.Call, 1_000, 'echo.echo', 'still here']);
  const [answer] = await once(port, 'message');
  return { answer, server };
}

describe('messages that are no frames', () => {
  it('are counted, and the calls beside them are answered', async () => {
    const malformed = [
      undefined,
      null,
      'hello',
      42,
      {},
      { 0: Tag.Call, 1: 1, 2: 'echo.echo' },
      [],
      [Tag.Call],
      [Tag.Call, '1', 'echo.echo', null],
      [Tag.Call, 1, 17, null],
      [Tag.Call, 1, 'echo.echo', null, 'soon'],
      [Tag.Call, 1, 'echo.stream', null, 0, undefined, 0],
      [Tag.Call, 1, 'echo.stream', null, 0, undefined, Number.NaN],
      [Tag.ClientItem, 1, 'item', -1],
      [Tag.ClientItem, 1, 'item', 'heavy'],
      [Tag.ClientGrant, 1, Number.NaN],
      [Tag.ClientGrant, 1, -1],
      [Tag.ClientGrant, 1],
      [Tag.Cancel, 1, 'TEAPOT', 'short and stout'],
      [Tag.Cancel, 1, Status.Ok, 'fine'],
      [Tag.Cancel, 1, Status.Cancelled, null],
      [Tag.Failure, 1, null],
      [Tag.Failure, 1, 'failed'],
      [99, 1],
      ['1', 1],
    ];
    const { answer, server } = await afterPosting(...malformed);
    expect(answer).toEqual([Tag.Answer, 1_000, 'still here']);
    expect([server.malformedMessages, server.lateFrames, server.isClosed]).toEqual([malformed.length, 0, false]);
  });
});

describe('frames of calls that are over or never were', () => {
  it('are counted and dropped', async () => {
    const stray = [
      [Tag.ClientItem, 7, 'item'],
      [Tag.ClientEnd, 7],
      [Tag.ClientGrant, 7, 3],
      [Tag.Cancel, 7, Status.Cancelled, 'no more'],
      [Tag.Answer, 7, 'answer'],
      [Tag.Failure, 7, { code: Status.Internal, message: 'failure' }],
      [Tag.ServerItem, 7, 'item'],
      [Tag.ServerGrant, 7, 3],
    ];
    const { answer, server } = await afterPosting(...stray);
    expect(answer).toEqual([Tag.Answer, 1_000, 'still here']);
    expect([server.lateFrames, server.malformedMessages, server.pendingCalls]).toEqual([stray.length, 0, 0]);
  });

  it('include a second call with the number of an earlier one, pending or done', async () => {
    const { answer, server } = await afterPosting(
      [Tag.Call, 5, 'echo.hang', null],
      [Tag.Call, 5, 'echo.hang', null],
      [Tag.Call, 4, 'echo.hang', null],
    );
    expect(answer).toEqual([Tag.Answer, 1_000, 'still here']);
    expect([server.lateFrames, server.servedCalls]).toEqual([2, 1]);
  });

  it('include frames that make no sense for the kind of call', async () => {
    const { answer } = await afterPosting(
      [Tag.Call, 1, 'echo.hang', null],
      [Tag.ClientItem, 1, 'item'],
      [Tag.ClientEnd, 1],
      [Tag.ClientGrant, 1, 3],
    );
    expect(answer).toEqual([Tag.Answer, 1_000, 'still here']);
  });
});

describe('an answer', () => {
  it('with a code that does not exist is UNKNOWN', async () => {
    const { client, rightPort } = connect(Echo, implementation);
    const call = client.hang();
    rightPort.postMessage([Tag.Failure, 1, { code: 'TEAPOT', message: 'short and stout' }]);
    expect(await failure(call)).toMatchObject({ code: Status.Unknown, message: 'short and stout' });
  });

  it('with a cause that is none still arrives', async () => {
    const { client, rightPort } = connect(Echo, implementation);
    for (const [index, cause] of [null, 42, {}].entries()) {
      const call = client.hang();
      rightPort.postMessage([Tag.Failure, index + 1, { code: Status.Internal, message: 'failed', cause }]);
      expect(await failure(call)).toMatchObject({ code: Status.Internal, message: 'failed' });
    }
  });

  it('that comes twice counts once', async () => {
    const { client, rightPort, left, settled } = connect(Echo, implementation);
    const call = client.hang();
    rightPort.postMessage([Tag.Answer, 1, 'first']);
    rightPort.postMessage([Tag.Answer, 1, 'second']);
    expect(await call).toBe('first');
    await settled();
    expect(left.lateFrames).toBe(1);
  });
});

describe('a message that cannot be deserialized', () => {
  it('closes the peer, since nobody can tell whose it was', async () => {
    const { client, left, right, leftPort } = connect(Echo, implementation);
    const call = failure(client.hang());
    // What the port emits then; there is no portable way to make a real one.
    leftPort.emit('messageerror', new TypeError('unknown object type'));
    expect(await call).toMatchObject({ code: Status.Unavailable, message: expect.stringContaining('deserialized') });
    expect((await left.closed).cause).toMatchObject({
      code: Status.DataLoss,
      cause: { message: 'unknown object type' },
    });
    await right.closed;
  });
});

describe('BusError.from', () => {
  it('keeps a BusError, translates the platform’s aborts, and wraps the rest with a code', () => {
    const error = new BusError(Status.NotFound, 'nothing');
    expect(BusError.from(error)).toBe(error);
    expect(BusError.from(AbortSignal.abort().reason).code).toBe(Status.Cancelled);
    expect(BusError.from(new DOMException('late', 'TimeoutError')).code).toBe(Status.DeadlineExceeded);
    const cause = new Error('broken');
    expect(BusError.from(cause)).toMatchObject({ code: Status.Unknown, message: 'broken', cause });
    expect(BusError.from(cause, Status.Internal).code).toBe(Status.Internal);
    expect(BusError.from({ reason: 1 })).toMatchObject({ message: '{ reason: 1 }', cause: { reason: 1 } });
    expect(BusError.from(Symbol('s')).message).toBe('Symbol(s)');
  });
});
