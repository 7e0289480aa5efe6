import type { RealtimeClientEvent } from 'openai/resources/realtime/realtime';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ResponseScheduler } from '../../src/realtime/response-scheduler.ts';

type Create = Extract<RealtimeClientEvent, { type: 'response.create' }>;

let sent: RealtimeClientEvent[];
let isConnected: boolean;
let silences: number;
let scheduler: ResponseScheduler;

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  isConnected = true;
  silences = 0;
  scheduler = new ResponseScheduler(
    (event) => {
      if (isConnected) sent.push(event);
      return isConnected;
    },
    () => {
      silences += 1;
    },
  );
});
afterEach(() => {
  scheduler.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const creates = () => sent.filter((event) => event.type === 'response.create') as Create[];
/** The server starts the response that was asked for last. */
function startAsked(id: string): boolean {
  return scheduler.started({ id, metadata: creates().at(-1)!.response!.metadata ?? null });
}

describe('ResponseScheduler', () => {
  it('asks for one response at a time, and once for all that is wanted meanwhile', () => {
    scheduler.request();
    scheduler.request();
    expect(creates()).toHaveLength(1);
    expect(startAsked('r1')).toBe(true);
    scheduler.request();
    scheduler.request();
    expect(creates()).toHaveLength(1);
    scheduler.done('r1');
    // The one that was wanted while the first was on its way, and the later ones, are one.
    expect(creates()).toHaveLength(2);
    startAsked('r2');
    scheduler.done('r2');
    expect(creates()).toHaveLength(2);
    expect(scheduler.isBusy).toBe(false);
  });

  it('carries the overrides, and tells its own responses by their metadata', () => {
    scheduler.request({ instructions: 'Greet.', metadata: { why: 'greeting' } });
    expect(creates()).toMatchObject([
      {
        event_id: 'response-1',
        response: { instructions: 'Greet.', metadata: { why: 'greeting', request: 'response-1' } },
      },
    ]);
    // One of the server's own came first: ours will be refused.
    expect(scheduler.started({ id: 'server', metadata: null })).toBe(true);
    scheduler.done('server');
    scheduler.request();
    scheduler.expectServer();
    expect(scheduler.started({ id: 'server2', metadata: null })).toBe(false);
  });

  it('asks for nothing while the caller speaks', () => {
    scheduler.hold();
    scheduler.request();
    expect(creates()).toEqual([]);
    scheduler.release(false);
    expect(creates()).toHaveLength(1);
  });

  it('takes a response of the server for the answer to what was wanted before', () => {
    scheduler.hold();
    scheduler.request();
    scheduler.release(true);
    expect(scheduler.started({ id: 'server', metadata: null })).toBe(false);
    scheduler.done('server');
    vi.advanceTimersByTime(10_000);
    expect(creates()).toEqual([]);
    expect(silences).toBe(0);
  });

  it('asks behind a response of the server for what was wanted when that may have begun already', () => {
    scheduler.hold();
    scheduler.release(true);
    scheduler.request();
    scheduler.started({ id: 'server', metadata: null });
    expect(creates()).toEqual([]);
    scheduler.done('server');
    expect(creates()).toHaveLength(1);
  });

  it('asks itself when the server stays silent', () => {
    scheduler.hold();
    scheduler.request();
    scheduler.release(true);
    expect(creates()).toEqual([]);
    vi.advanceTimersByTime(1_999);
    expect(silences).toBe(0);
    vi.advanceTimersByTime(1);
    expect(silences).toBe(1);
    expect(creates()).toHaveLength(1);
  });

  it('does not take the server to be silent while the caller goes on', () => {
    scheduler.hold();
    scheduler.release(true);
    scheduler.hold();
    vi.advanceTimersByTime(10_000);
    expect(silences).toBe(0);
  });

  it('asks again after a conflict, behind the response that was in the way', () => {
    scheduler.request();
    scheduler.expectServer();
    scheduler.started({ id: 'server', metadata: null });
    expect(scheduler.rejected('response-1', 'conversation_already_has_active_response', 750)).toBe('harmless');
    expect(creates()).toHaveLength(1);
    scheduler.done('server');
    expect(creates()).toHaveLength(2);
  });

  it('waits a little where the response in the way was never heard of', () => {
    scheduler.request();
    scheduler.rejected('response-1', 'conversation_already_has_active_response', 750);
    expect(creates()).toHaveLength(1);
    vi.advanceTimersByTime(500);
    expect(creates()).toHaveLength(2);
  });

  it('drops a greeting that another response overtook', () => {
    scheduler.request({ input: [], metadata: { why: 'greeting' } });
    scheduler.rejected('response-1', 'conversation_already_has_active_response', 750);
    vi.advanceTimersByTime(10_000);
    expect(creates()).toHaveLength(1);
  });

  it('knows its own requests among errors, and makes a refused one once more', () => {
    scheduler.request({ instructions: 'Greet.' });
    expect(scheduler.rejected('session-config', 'invalid_value', 750)).toBe('foreign');
    expect(scheduler.rejected('response-9', 'invalid_value', 750)).toBe('harmless');
    expect(scheduler.rejected('response-1', 'invalid_value', 750)).toBe('refused');
    vi.advanceTimersByTime(750);
    expect(creates().map(({ response }) => response?.instructions)).toEqual(['Greet.', 'Greet.']);
  });

  it('asks again for a response that failed, with the same words, unless another answers first', () => {
    scheduler.request({ instructions: 'Greet.' });
    startAsked('r1');
    scheduler.failed('r1', 750);
    vi.advanceTimersByTime(750);
    expect(creates()).toHaveLength(2);
    expect(creates()[1]!.response!.instructions).toBe('Greet.');
    startAsked('r2');
    scheduler.failed('r2', 750);
    scheduler.expectServer();
    scheduler.started({ id: 'server', metadata: null });
    scheduler.done('server');
    vi.advanceTimersByTime(10_000);
    expect(creates()).toHaveLength(2);
  });

  it('cancels a running response once', () => {
    scheduler.started({ id: 'r1', metadata: null });
    scheduler.cancel('r1');
    scheduler.cancel('r1');
    scheduler.cancel('nobody');
    expect(sent).toEqual([{ type: 'response.cancel', response_id: 'r1' }]);
  });

  it('keeps what is wanted until there is a connection', () => {
    isConnected = false;
    scheduler.request();
    isConnected = true;
    scheduler.resume();
    expect(creates()).toHaveLength(1);
  });

  describe('when the connection is lost', () => {
    const wanted = () => true;

    it('names what had not begun', () => {
      scheduler.request({ instructions: 'Greet.' });
      expect(scheduler.reset(wanted)).toEqual({ overrides: { instructions: 'Greet.' } });
      expect(scheduler.isBusy).toBe(false);
    });

    it('names a response that was not finished', () => {
      scheduler.request({ instructions: 'Greet.' });
      startAsked('r1');
      scheduler.itemStarted('r1', 'i1');
      expect(scheduler.reset(wanted)).toEqual({ responseId: 'r1', overrides: { instructions: 'Greet.' } });
    });

    it('leaves alone one of which only the last word is missing', () => {
      scheduler.started({ id: 'r1', metadata: null });
      scheduler.itemStarted('r1', 'i1');
      scheduler.itemDone('r1', 'i1', { mayBeLast: true, callsTool: false });
      expect(scheduler.isSettled('r1')).toBe(true);
      expect(scheduler.reset(wanted)).toBeUndefined();
    });

    it('does not take a comment for the whole answer', () => {
      scheduler.started({ id: 'r1', metadata: null });
      scheduler.itemStarted('r1', 'i1');
      scheduler.itemDone('r1', 'i1', { mayBeLast: false, callsTool: false });
      expect(scheduler.reset(wanted)).toMatchObject({ responseId: 'r1' });
    });

    it('leaves one that called a tool to the tool, and one that was interrupted to the caller', () => {
      scheduler.started({ id: 'r1', metadata: null });
      scheduler.itemStarted('r1', 'i1');
      scheduler.itemStarted('r1', 'i2');
      scheduler.itemDone('r1', 'i1', { mayBeLast: true, callsTool: true });
      expect(scheduler.reset(wanted)).toBeUndefined();
      scheduler.started({ id: 'r2', metadata: null });
      expect(scheduler.reset(() => false)).toBeUndefined();
    });
  });
});
