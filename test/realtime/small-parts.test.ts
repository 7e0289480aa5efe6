import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AwaitedTranscripts } from '../../src/realtime/awaited-transcripts.ts';
import { errorOf } from '../../src/realtime/incoming.ts';
import { KeyPresses } from '../../src/realtime/key-presses.ts';
import { classifyServerError, configurationError } from '../../src/realtime/server-error.ts';
import { AudioRing } from '../../src/upstream/audio-ring.ts';
import { UpstreamError } from '../../src/upstream/upstream-error.ts';

describe('AudioRing', () => {
  const piece = (name: string, audioMs: number) => ({ base64: name, audioMs, receivedAtMs: 0 });
  const names = (ring: AudioRing) => ring.take().pieces.map(({ base64 }) => base64);

  it('keeps the newest audio, in order, and counts what falls out', () => {
    const ring = new AudioRing(1000);
    for (let i = 0; i < 14; i++) ring.push(piece(`f${i}`, 100));
    const { pieces, droppedMs } = ring.take();
    expect(pieces.map(({ base64 }) => base64)).toEqual(Array.from({ length: 10 }, (_, i) => `f${i + 4}`));
    expect(droppedMs).toBe(400);
    expect(ring.take()).toEqual({ pieces: [], droppedMs: 0 });
  });

  it('keeps the last piece, however long', () => {
    const ring = new AudioRing(100);
    ring.push(piece('short', 20));
    ring.push(piece('long', 5000));
    expect(names(ring)).toEqual(['long']);
  });
});

describe('UpstreamError', () => {
  it.each([
    [400, 'refused', false],
    [401, 'refused', false],
    [403, 'refused', false],
    [404, 'refused', false],
    [408, 'unavailable', true],
    [429, 'rate_limited', true],
    [500, 'unavailable', true],
    [502, 'unavailable', true],
    [503, 'unavailable', true],
  ])('sorts HTTP %d as %s', (status, errorClass, retryable) => {
    expect(UpstreamError.fromHandshake({ status, headers: {}, body: '' })).toMatchObject({
      class: errorClass,
      retryable,
      code: `http_${status}`,
    });
  });
});

describe('an error of the server', () => {
  it.each([
    ['invalid_request_error', 'response_cancel_not_active', 'benign'],
    ['invalid_request_error', 'item_not_found', 'benign'],
    ['invalid_request_error', 'input_audio_buffer_commit_empty', 'benign'],
    ['invalid_request_error', 'something_new', 'benign'],
    ['invalid_request_error', undefined, 'benign'],
    [undefined, undefined, 'benign'],
    ['toString', 'constructor', 'benign'],
    ['invalid_request_error', 'session_expired', 'retryable'],
    ['server_error', 'rate_limit_exceeded', 'retryable'],
    ['server_error', 'inference_rate_limit_exceeded', 'retryable'],
    ['server_error', 'server_error', 'retryable'],
    ['server_error', undefined, 'retryable'],
    [undefined, 'server_error', 'retryable'],
    ['invalid_request_error', 'beta_api_shape_disabled', 'fatal'],
    ['insufficient_quota', undefined, 'fatal'],
    ['insufficient_quota', 'insufficient_quota', 'fatal'],
    ['authentication_error', undefined, 'fatal'],
    ['invalid_request_error', 'invalid_api_key', 'fatal'],
  ])('of type %s with the code %s is %s', (type, code, verdict) => {
    expect(classifyServerError({ type, code })).toBe(verdict);
  });

  const error = (fields: object) => configurationError(errorOf({ type: 'invalid_request_error', ...fields }), 'config');

  it('that names the configuration, by its event or by a parameter, refuses the session', () => {
    for (const fields of [{ event_id: 'config' }, { param: 'session' }, { param: 'session.audio.input.format' }]) {
      expect(error({ ...fields, code: 'invalid_value' })).toMatchObject({ class: 'refused', code: 'invalid_value' });
    }
  });

  it('that names neither refuses nothing', () => {
    for (const fields of [{}, { event_id: 'other', code: 'item_not_found' }, { param: 'sessions' }, { param: 7 }]) {
      expect(error(fields)).toBeUndefined();
    }
  });

  it('may pass where the service fails or is busy, whatever it names', () => {
    expect(error({ type: 'server_error', code: null })).toMatchObject({ class: 'unavailable', code: 'server_error' });
    expect(error({ type: 'server_error', event_id: 'config' })).toMatchObject({ class: 'unavailable' });
    expect(error({ code: 'rate_limit_exceeded' })).toMatchObject({ class: 'rate_limited', retryable: true });
    expect(error({ type: 'insufficient_quota' })).toMatchObject({ class: 'refused' });
  });
});

describe('AwaitedTranscripts', () => {
  it('waits for a turn until its words come, but not for ever', () => {
    const transcripts = new AwaitedTranscripts();
    expect(transcripts.isWaiting(0)).toBe(false);
    transcripts.add('a', 1000);
    transcripts.add('b', 2000);
    transcripts.settle('a');
    expect(transcripts.isWaiting(3000)).toBe(true);
    expect(transcripts.isWaiting(7000)).toBe(false);
    expect(transcripts.takeAll()).toEqual(['b']);
    expect(transcripts.takeAll()).toEqual([]);
  });

  it('does not wait for words that came before the turn was known to be one', () => {
    const transcripts = new AwaitedTranscripts();
    transcripts.settle('a');
    transcripts.add('a', 0);
    expect(transcripts.isWaiting(1)).toBe(false);
    expect(transcripts.takeAll()).toEqual([]);
  });
});

describe('KeyPresses', () => {
  let told: string[];
  let keys: KeyPresses;
  beforeEach(() => {
    vi.useFakeTimers();
    told = [];
    keys = new KeyPresses((digits) => told.push(digits));
  });
  afterEach(() => {
    keys.close();
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it('tells keys together that follow each other', () => {
    keys.press('4');
    vi.advanceTimersByTime(900);
    keys.press('7');
    vi.advanceTimersByTime(900);
    keys.press('11');
    expect(told).toEqual([]);
    vi.advanceTimersByTime(1000);
    expect(told).toEqual(['4711']);
  });

  it('tells at once what ends with a hash', () => {
    keys.press('47');
    keys.press('11#');
    expect(told).toEqual(['4711#']);
    vi.advanceTimersByTime(5000);
    expect(told).toHaveLength(1);
  });

  it('tells nothing after it was closed', () => {
    keys.press('1');
    keys.close();
    keys.press('2#');
    vi.advanceTimersByTime(5000);
    expect(told).toEqual([]);
  });
});
