import { describe, expect, it } from 'vitest';
import { CallRecorder } from '../../src/call/record/recorder.ts';
import type { RecordedPiece, RecordingBatch } from '../../src/recordings/batch.ts';

const FORMAT = { encoding: 'pcm16', sampleRateHz: 16_000 } as const;
const HEAD = {
  id: 'session-1',
  tenantId: 'acme',
  callId: 'call-1',
  callerNumber: null,
  startedAtMs: 0,
  sampleRateHz: 16_000,
} as const;
/** The monotonic clock's time when the calls began. */
const T0 = 50_000;

function recorder(write: (batch: RecordingBatch) => Promise<void> = async () => {}) {
  const batches: RecordingBatch[] = [];
  const told: string[] = [];
  const made = new CallRecorder({
    head: HEAD,
    startedAtMs: T0,
    write: (batch) => {
      batches.push(batch);
      return write(batch);
    },
    onLost: (error) => told.push(error.message),
    onKept: () => told.push('kept'),
  });
  const pieces = (side: RecordedPiece['side']) =>
    batches.flatMap((batch) => batch.pieces.filter((piece) => piece.side === side));
  const places = (side: RecordedPiece['side']) =>
    pieces(side).map(({ base64, startMs, fromMs = 0, toMs = 0 }) => [base64, startMs, startMs + toMs - fromMs]);
  return { made, batches, told, pieces, places };
}

const frame = (base64: string, frameMs = 60) => ({ base64, format: FORMAT, frameMs });

describe('the caller’s side', () => {
  function said(...chunks: readonly (readonly [name: string, audioMs: number, atMs: number])[]) {
    const { made, places } = recorder();
    for (const [base64, audioMs, atMs] of chunks) made.callerSaid({ base64, audioMs, receivedAtMs: T0 + atMs }, FORMAT);
    made.close(T0 + 20_000, 0);
    return places('caller');
  }

  it('goes on without gaps through a little jitter, and has silence where nothing was sent', () => {
    expect(said(['a', 100, 1_100], ['b', 100, 1_240], ['c', 100, 1_310], ['d', 100, 3_000])).toEqual([
      ['a', 1_000, 1_100],
      ['b', 1_100, 1_200],
      ['c', 1_200, 1_300],
      ['d', 2_900, 3_000],
    ]);
  });

  it('has no silence where the network stood still and everything came at once', () => {
    const burst = Array.from({ length: 8 }, (_, n) => [`late ${n}`, 100, 1_000] as const);
    const places = said(['a', 100, 200], ...burst);
    expect(places[0]).toEqual(['a', 0, 100]);
    // As far as jitter goes it may stand late.
    expect(places.at(-1)![2]).toBeLessThanOrEqual(1_000 + 250);
    for (const [index, place] of places.slice(2).entries())
      expect(place[1]).toBeCloseTo(places[index + 1]![2] as number);
  });

  it('begins with the call where it was sent all at once', () => {
    expect(said(['file', 5_000, 1_000])).toEqual([['file', 0, 5_000]]);
  });
});

describe('the agent’s side', () => {
  it('is where a client plays it by itself, and cut where the ledger has the playhead', () => {
    const { made, places } = recorder();
    for (let n = 0; n < 5; n++) made.handedOver(frame(`f${n}`), T0 + 1_000 + n * 60);
    made.interrupted(T0 + 1_150, 150);
    made.handedOver(frame('next'), T0 + 2_000);
    made.close(T0 + 2_020, 20);
    expect(places('agent')).toEqual([
      ['f0', 1_000, 1_060],
      ['f1', 1_060, 1_120],
      ['f2', 1_120, 1_150],
      ['next', 2_000, 2_020],
    ]);
  });

  it('moves with what the client tells of its playback, but not by what nobody hears', () => {
    const { made, places } = recorder();
    for (let n = 0; n < 3; n++) made.handedOver(frame(`f${n}`), T0 + 1_000 + n * 60);
    made.playheadMoved(60, T0 + 1_080);
    expect(places('agent')).toEqual([]);
    made.playheadMoved(70, T0 + 1_270);
    made.interrupted(T0 + 1_300, 100);
    made.close(T0 + 1_400, 0);
    expect(places('agent')).toEqual([
      ['f0', 1_000, 1_060],
      ['f1', 1_260, 1_300],
    ]);
  });

  it('is exactly what a stream has played, part by part', () => {
    const { made, pieces } = recorder();
    made.played(frame('f0'), 0, 20, T0 + 500);
    made.played(frame('f0'), 20, 40, T0 + 520);
    made.played(frame('f1'), 0, 35, T0 + 560);
    made.interrupted(T0 + 595, 0);
    made.close(T0 + 900, 0);
    expect(pieces('agent').map(({ startMs, fromMs, toMs }) => [startMs, fromMs, toMs])).toEqual([
      [500, 0, 60],
      [560, 0, 35],
    ]);
  });
});

describe('what is sent on', () => {
  it('is held for as long as it may move, and then complete up to its time', () => {
    const { made, batches } = recorder();
    made.handedOver(frame('early'), T0 + 500);
    made.handedOver(frame('late'), T0 + 4_000);
    made.tick(T0 + 1_000);
    expect(batches).toEqual([]);
    made.tick(T0 + 3_000);
    made.tick(T0 + 6_030);
    made.close(T0 + 7_000, 120);
    expect(batches.map(({ isFirst, isLast, untilMs, pieces }) => [isFirst, isLast, untilMs, pieces.length])).toEqual([
      [true, false, 1_000, 1],
      [false, false, 4_000, 0],
      [false, true, 7_000, 1],
    ]);
  });

  it('ends with the first batch that the disk does not take, which is told once', async () => {
    const { made, batches, told } = recorder(async () => {
      throw new Error('no room');
    });
    made.tick(T0 + 3_000);
    made.tick(T0 + 6_000);
    await Promise.resolve();
    await Promise.resolve();
    made.handedOver(frame('more'), T0 + 6_500);
    made.tick(T0 + 9_000);
    made.close(T0 + 10_000, 0);
    expect(batches).toHaveLength(2);
    expect(told).toEqual(['no room']);
  });

  it('is kept once the last of it is', async () => {
    const { made, told } = recorder();
    made.close(T0 + 1_000, 0);
    made.close(T0 + 2_000, 0);
    await Promise.resolve();
    await Promise.resolve();
    expect(told).toEqual(['kept']);
  });
});
