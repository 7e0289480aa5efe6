import type { RealtimeClientEvent } from 'openai/resources/realtime/realtime';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { monotonicNowMs } from '../../src/clock.ts';
import { ResponseScheduler } from '../../src/realtime/response-scheduler.ts';
import { RESPONSE_TIMES } from '../../src/realtime/response-times.ts';
import { RunningResponses } from '../../src/realtime/running-responses.ts';
import type { SessionEvent } from '../../src/upstream/host.ts';

type Create = Extract<RealtimeClientEvent, { type: 'response.create' }>;

let sent: RealtimeClientEvent[];
let isConnected: boolean;
let silences: number;
let lost: [string, string][];
let repairs: string[];
let givenUp: number;
let running: RunningResponses;
let scheduler: ResponseScheduler;

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  isConnected = true;
  silences = 0;
  lost = [];
  repairs = [];
  givenUp = 0;
  const link = {
    send(event: RealtimeClientEvent) {
      if (isConnected) sent.push(event);
      return isConnected;
    },
  };
  const host = { event: (event: SessionEvent) => repairs.push(event.type === 'repaired' ? event.kind : event.type) };
  const answer = {
    get isOwed() {
      silences += 1;
      return false;
    },
  };
  running = new RunningResponses(RESPONSE_TIMES, monotonicNowMs, {
    onLost: (responseId, why) => {
      lost.push([responseId, why]);
      scheduler.done(responseId);
    },
  });
  scheduler = new ResponseScheduler(
    { link, host, answer, running, times: RESPONSE_TIMES },
    {
      onFailed: () => {
        givenUp += 1;
      },
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
function startAsked(id: string): string {
  return scheduler.started(id, String(creates().at(-1)!.response!.metadata!['request'])).by;
}
function rejected(eventId: string | undefined, code?: string): string {
  return scheduler.rejected({ type: 'invalid_request_error', code, message: 'No.', eventId, param: undefined });
}

describe('ResponseScheduler', () => {
  it('asks for one response at a time, and once for all that is wanted meanwhile', () => {
    scheduler.request();
    scheduler.request();
    expect(creates()).toHaveLength(1);
    expect(startAsked('r1')).toBe('gateway');
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
    expect(scheduler.started('server').by).toBe('gateway');
    scheduler.done('server');
    scheduler.request();
    scheduler.expectServer();
    expect(scheduler.started('server2').by).toBe('server');
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
    expect(scheduler.started('server').by).toBe('server');
    scheduler.done('server');
    vi.advanceTimersByTime(10_000);
    expect(creates()).toEqual([]);
    expect(silences).toBe(0);
  });

  it('asks behind a response of the server for what was wanted when that may have begun already', () => {
    scheduler.hold();
    scheduler.release(true);
    scheduler.request();
    scheduler.started('server');
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
    scheduler.started('server');
    expect(rejected('response-1', 'conversation_already_has_active_response')).toBe('harmless');
    expect(creates()).toHaveLength(1);
    scheduler.done('server');
    expect(creates()).toHaveLength(2);
  });

  it('waits a little where the response in the way was never heard of', () => {
    scheduler.request();
    rejected('response-1', 'conversation_already_has_active_response');
    expect(creates()).toHaveLength(1);
    vi.advanceTimersByTime(500);
    expect(creates()).toHaveLength(2);
  });

  it('drops a greeting that another response overtook', () => {
    scheduler.request({ input: [], metadata: { why: 'greeting' } });
    scheduler.expectServer();
    scheduler.started('server');
    rejected('response-1', 'conversation_already_has_active_response');
    scheduler.done('server');
    vi.advanceTimersByTime(10_000);
    expect(creates()).toHaveLength(1);
  });

  it('knows its own requests among errors, and makes a refused one once more', () => {
    scheduler.request({ instructions: 'Greet.' });
    expect(rejected('session-config', 'invalid_value')).toBe('foreign');
    expect(rejected('response-9', 'invalid_value')).toBe('harmless');
    expect(rejected('response-1', 'invalid_value')).toBe('refused');
    vi.advanceTimersByTime(750);
    expect(creates().map(({ response }) => response?.instructions)).toEqual(['Greet.', 'Greet.']);
  });

  it('asks again for a response that failed, with the same words, unless another answers first', () => {
    scheduler.request({ instructions: 'Greet.' });
    startAsked('r1');
    scheduler.failed('r1');
    vi.advanceTimersByTime(750);
    expect(creates()).toHaveLength(2);
    expect(creates()[1]!.response!.instructions).toBe('Greet.');
    startAsked('r2');
    scheduler.failed('r2');
    scheduler.expectServer();
    scheduler.started('server');
    scheduler.done('server');
    vi.advanceTimersByTime(10_000);
    expect(creates()).toHaveLength(2);
  });

  it('cancels a running response once', () => {
    scheduler.started('r1');
    scheduler.cancel('r1');
    scheduler.cancel('r1');
    scheduler.cancel('nobody');
    expect(sent).toEqual([{ type: 'response.cancel', event_id: 'cancel-1', response_id: 'r1' }]);
  });

  it('keeps what is wanted until there is a connection', () => {
    isConnected = false;
    scheduler.request();
    isConnected = true;
    scheduler.resume();
    expect(creates()).toHaveLength(1);
  });

  describe('a request that is not taken up', () => {
    it('is made again, so many times, and then nobody waits any more', () => {
      scheduler.request({ instructions: 'Greet.' });
      vi.advanceTimersByTime(2_499);
      expect(creates()).toHaveLength(1);
      vi.advanceTimersByTime(2);
      expect(creates().map(({ event_id: id }) => id)).toEqual(['response-1', 'response-1.1']);
      vi.advanceTimersByTime(2_502);
      expect(creates()).toHaveLength(3);
      expect(new Set(creates().map(({ response }) => response!.metadata!['request']))).toEqual(new Set(['response-1']));
      expect(givenUp).toBe(0);
      vi.advanceTimersByTime(2_500);
      expect(givenUp).toBe(1);
      expect(repairs).toEqual(['request_repeated', 'request_repeated']);
    });

    it('is not forgiven because the caller asks something else meanwhile', () => {
      for (let i = 0; i < 20 && givenUp === 0; i++) {
        scheduler.request();
        vi.advanceTimersByTime(600);
      }
      expect(givenUp).toBe(1);
    });

    it('is taken up late all the same, and the second answer to it is known as one', () => {
      scheduler.request();
      vi.advanceTimersByTime(2_600);
      expect(creates()).toHaveLength(2);
      expect(startAsked('r1')).toBe('gateway');
      expect(startAsked('r2')).toBe('twice');
      expect(lost).toEqual([['r1', 'superseded']]);
    });

    it('is let be when another response stands in its place', () => {
      scheduler.request();
      scheduler.expectServer();
      scheduler.started('server');
      vi.advanceTimersByTime(4_000);
      scheduler.done('server');
      vi.advanceTimersByTime(10_000);
      expect(creates()).toHaveLength(1);
    });

    it.each([undefined, 'server_error', 'conversation_already_has_active_response', 'something_new'])(
      'is made again after an error that names no event (%s)',
      (code) => {
        scheduler.request({ instructions: 'Greet.' });
        rejected(undefined, code);
        vi.advanceTimersByTime(750);
        expect(creates()).toHaveLength(2);
        expect(creates()[1]!.response!.instructions).toBe('Greet.');
      },
    );

    it('is not taken for the cause of an error about something else', () => {
      scheduler.request();
      expect(rejected(undefined, 'item_not_found')).toBe('foreign');
      vi.advanceTimersByTime(750);
      expect(creates()).toHaveLength(1);
    });

    it('cancels unseen what stands in its way, and does not ask for ever', () => {
      scheduler.request();
      for (let i = 0; i < 30 && givenUp === 0; i++) {
        rejected(creates().at(-1)!.event_id!, 'conversation_already_has_active_response');
        vi.advanceTimersByTime(500);
      }
      expect(sent.filter(({ type }) => type === 'response.cancel')).toHaveLength(1);
      expect(givenUp).toBe(1);
      expect(creates()).toHaveLength(7);
    });
  });

  describe('a response of which nothing more comes', () => {
    it('is lost: before its first item after a longer time than in the middle of it', () => {
      scheduler.started('r1');
      vi.advanceTimersByTime(7_990);
      expect(lost).toEqual([]);
      vi.advanceTimersByTime(20);
      expect(lost).toEqual([['r1', 'silent']]);
      scheduler.started('r2');
      running.itemStarted('r2', 'i1');
      vi.advanceTimersByTime(4_000);
      expect(running.isNew('r2')).toBe(false);
      vi.advanceTimersByTime(4_000);
      expect(lost).toHaveLength(1);
      vi.advanceTimersByTime(5_000);
      expect(lost[1]).toEqual(['r2', 'silent']);
    });

    it('is over when only the word of that is missing, or when it was cancelled', () => {
      scheduler.started('r1');
      running.itemStarted('r1', 'i1');
      running.itemDone('r1', 'i1', { mayBeLast: true, callsTool: false });
      scheduler.request();
      vi.advanceTimersByTime(2_001);
      expect(lost).toEqual([['r1', 'no_last_word']]);
      expect(creates()).toHaveLength(1);
      startAsked('r2');
      running.itemStarted('r2', 'i2');
      scheduler.cancel('r2');
      vi.advanceTimersByTime(2_001);
      expect(lost[1]).toEqual(['r2', 'no_last_word']);
    });

    it('is over when the server says that it cannot cancel it', () => {
      scheduler.started('r1');
      scheduler.request();
      scheduler.cancel('r1');
      const cancel = sent.find(({ type }) => type === 'response.cancel')!;
      expect(rejected(cancel.event_id, 'response_cancel_not_active')).toBe('harmless');
      expect(lost).toEqual([['r1', 'not_active']]);
      expect(creates()).toHaveLength(1);
    });

    it('… though it names no event; what was not cancelled runs on', () => {
      scheduler.started('r1');
      rejected(undefined, 'response_cancel_not_active');
      expect(lost).toEqual([]);
      scheduler.cancel('r1');
      rejected(undefined, 'response_cancel_not_active');
      expect(lost).toEqual([['r1', 'not_active']]);
    });

    it('is over when another begins', () => {
      scheduler.started('r1');
      scheduler.started('r2');
      expect(lost).toEqual([['r1', 'superseded']]);
      expect(running.ids()).toEqual(['r2']);
      expect(running.isNew('r1')).toBe(false);
      expect(running.isNew('r3')).toBe(true);
    });
  });

  it('does not wait for ever for a caller whose end of speech is not told', () => {
    scheduler.hold();
    scheduler.request();
    vi.advanceTimersByTime(59_000);
    expect(creates()).toHaveLength(0);
    vi.advanceTimersByTime(1_001);
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
      running.itemStarted('r1', 'i1');
      expect(scheduler.reset(wanted)).toEqual({ responseId: 'r1', overrides: { instructions: 'Greet.' } });
    });

    it('leaves alone one of which only the last word is missing', () => {
      scheduler.started('r1');
      running.itemStarted('r1', 'i1');
      running.itemDone('r1', 'i1', { mayBeLast: true, callsTool: false });
      expect(running.isSettled('r1')).toBe(true);
      expect(scheduler.reset(wanted)).toBeUndefined();
    });

    it('does not take a comment for the whole answer', () => {
      scheduler.started('r1');
      running.itemStarted('r1', 'i1');
      running.itemDone('r1', 'i1', { mayBeLast: false, callsTool: false });
      expect(scheduler.reset(wanted)).toMatchObject({ responseId: 'r1' });
    });

    it('leaves one that called a tool to the tool, and one that was interrupted to the caller', () => {
      scheduler.started('r1');
      running.itemStarted('r1', 'i1');
      running.itemStarted('r1', 'i2');
      running.itemDone('r1', 'i1', { mayBeLast: true, callsTool: true });
      expect(scheduler.reset(wanted)).toBeUndefined();
      scheduler.started('r2');
      expect(scheduler.reset(() => false)).toBeUndefined();
    });
  });
});
