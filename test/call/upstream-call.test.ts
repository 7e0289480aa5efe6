import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BusError, Status } from '../../src/bus/index.ts';
import { CallerAudioFeed } from '../../src/call/up/caller-audio-feed.ts';
import { toOpenError, UpstreamCall } from '../../src/call/upstream-call.ts';
import type { OpenRequest, ReportedEvent } from '../../src/workers/session/service.ts';
import type { LeaseHolder, SessionWorkers, WorkerLease } from '../../src/workers/session/workers.ts';

/** A place on a worker that does what a test says. */
class Place {
  readonly holder: LeaseHolder;
  readonly asked: string[] = [];
  readonly opened = Promise.withResolvers<void>();
  readonly events = Promise.withResolvers<void>();
  request: OpenRequest | undefined;
  onEvent: (event: ReportedEvent) => void = () => {};

  constructor(holder: LeaseHolder) {
    this.holder = holder;
  }

  readonly lease = {
    workerId: 7,
    release: () => this.asked.push('release'),
    client: {
      events: () => ({
        onItem: (listener: (event: ReportedEvent) => void) => {
          this.onEvent = listener;
          return this.events.promise;
        },
      }),
      downlink: () => ({ onItem: () => new Promise(() => {}) }),
      uplink: () => ({
        sink: {
          queued: 0,
          write: ({ base64 }: { base64: string }) => this.asked.push(`audio ${base64}`),
          end: () => {},
        },
        answer: Promise.resolve(),
      }),
      open: (request: OpenRequest) => {
        this.request = request;
        return this.opened.promise;
      },
      command: async ({ command }: { command: { type: string } }) => void this.asked.push(command.type),
      close: async () => void this.asked.push('close'),
    },
  } as unknown as WorkerLease;
}

const portGone = () => new BusError(Status.Unavailable, 'gone', { cause: new BusError(Status.Unavailable, 'port') });

let places: Place[];
let granted: PromiseWithResolvers<void>;
let told: string[];
let feed: CallerAudioFeed;
let call: UpstreamCall;

beforeEach(() => {
  vi.useFakeTimers();
  places = [];
  granted = Promise.withResolvers();
  granted.resolve();
  told = [];
  feed = new CallerAudioFeed(1_000);
  const workers: Pick<SessionWorkers, 'lease'> = {
    async lease(holder) {
      const place = new Place(holder);
      places.push(place);
      await granted.promise;
      return place.lease;
    },
  };
  call = new UpstreamCall('key', workers, feed);
});
afterEach(() => {
  vi.useRealTimers();
});

const open = () =>
  call
    .open({} as OpenRequest, 10_000, {
      onEvent: ({ type }) => told.push(type),
      onAudio: () => undefined,
      onWorkerLost: ({ message }) => told.push(`lost: ${message}`),
      onFailed: ({ message }) => told.push(`failed: ${message}`),
    })
    .then(
      () => 'open',
      ({ code }) => code,
    );
async function opened(): Promise<Place> {
  const opening = open();
  await vi.advanceTimersByTimeAsync(0);
  const place = places.at(-1)!;
  place.opened.resolve();
  expect(await opening).toBe('open');
  return place;
}
const event = (type: string) => ({ type, atMs: 0 }) as ReportedEvent;
const send = (base64: string) => feed.send({ base64, audioMs: 100, receivedAtMs: 0 });

describe("a call's session on a worker", () => {
  it('gets its audio once it is open, beginning with what was kept, and its commands', async () => {
    send('a');
    const place = await opened();
    send('b');
    call.command({ type: 'dtmf', digits: '1' });
    expect(place.asked).toEqual(['audio a', 'audio b', 'dtmf']);
    expect(call.workerId).toBe(7);
    await call.close();
    await call.close();
    expect(place.asked.slice(3)).toEqual(['close', 'release']);
    expect(call.workerId).toBeUndefined();
    call.command({ type: 'dtmf', digits: '2' });
    expect(place.asked).toHaveLength(5);
  });

  it('gives its place back when it cannot be opened, or was closed before it was granted one', async () => {
    const refused = open();
    await vi.advanceTimersByTimeAsync(0);
    places[0]!.opened.reject(new BusError(Status.FailedPrecondition, 'no such model'));
    expect(await refused).toBe(Status.FailedPrecondition);
    expect(places[0]!.asked).toEqual(['close', 'release']);
    granted = Promise.withResolvers();
    const late = open();
    await call.close();
    granted.resolve();
    expect(await late).toBe(Status.Cancelled);
    expect(places[1]!.asked).toEqual(['release']);
  });

  it('whose worker dies is told so once, keeps its audio, and goes on with another', async () => {
    const lost = await opened();
    lost.onEvent(event('response_started'));
    lost.holder.onLost(new Error('killed'));
    expect(told).toEqual(['response_started', 'lost: killed']);
    expect(call).toMatchObject({ workersLost: 1, workerId: undefined, isCutShort: true });
    send('meanwhile');
    const place = await opened();
    expect(place.request).toMatchObject({ sessionKey: 'key', isCutShort: true });
    expect(place.asked).toEqual(['audio meanwhile']);
    place.onEvent(event('response_done'));
    expect(call.isCutShort).toBe(false);
  });

  it.each(['speech_started', 'response_done', 'upstream_restored', 'rotated'])(
    'is not cut short once nobody waits for the rest: %s',
    async (type) => {
      const place = await opened();
      place.onEvent(event('response_started'));
      place.onEvent(event(type));
      expect(call.isCutShort).toBe(false);
    },
  );

  it('fails with its streams, but not with a worker whose loss is told a moment later', async () => {
    const lost = await opened();
    lost.events.reject(portGone());
    await vi.advanceTimersByTimeAsync(100);
    lost.holder.onLost(new Error('killed'));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(told).toEqual(['lost: killed']);
    const silent = await opened();
    silent.events.reject(portGone());
    await vi.advanceTimersByTimeAsync(4_999);
    expect(told).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(told[1]).toBe('failed: gone');
    const broken = await opened();
    broken.events.reject(new TypeError('a defect'));
    await vi.advanceTimersByTimeAsync(0);
    expect(told[2]).toMatch(/^failed: /);
  });

  it('does not hear of the loss of a worker that it has left', async () => {
    const place = await opened();
    const closing = call.close();
    place.holder.onLost(new Error('killed'));
    await closing;
    expect(told).toEqual([]);
    expect(call.workersLost).toBe(0);
  });

  it('is not given a fifth worker to kill', async () => {
    for (let count = 0; count < 4; count++) (await opened()).holder.onLost(new Error('killed'));
    expect(await open()).toBe(Status.Unavailable);
    expect(places).toHaveLength(4);
  });
});

describe('what is told of a session that cannot be opened', () => {
  it.each([
    [Status.DeadlineExceeded, 'upstream_timeout', 'the AI was not ready within 5000 ms'],
    [Status.FailedPrecondition, 'upstream_refused', 'as it said'],
    [Status.ResourceExhausted, 'upstream_refused', 'as it said'],
    [Status.Unavailable, 'upstream_refused', 'as it said'],
    [Status.Internal, 'internal', 'the session could not be opened; the log has the reason'],
  ])('%s is %s', (status, code, why) => {
    const cause = new BusError(status, 'as it said');
    expect(toOpenError(cause, 5_000)).toMatchObject({ code, details: { why }, cause });
  });

  it('says nothing of a thread that died', () => {
    expect(toOpenError(portGone(), 5_000).code).toBe('internal');
  });
});
