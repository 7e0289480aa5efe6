import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AudioFormat } from '../../../src/audio/codec.ts';
import { Playout, type SpeechPiece } from '../../../src/call/duplex/playout.ts';

const FORMAT: AudioFormat = { encoding: 'pcmu', sampleRateHz: 8000 };
const MS = 8;
const SILENCE = 0xff;

interface Piece extends SpeechPiece {
  readonly id: number;
}

/** A client, a queue of speech and a clock. */
class Stage {
  readonly written: { atMs: number; bytes: Uint8Array }[] = [];
  readonly queue: Piece[] = [];
  readonly heardMs = new Map<number, number>();
  readonly whole: number[] = [];
  readonly returned: number[] = [];
  readonly lateMs: number[] = [];
  readonly gapsMs: number[] = [];
  isFull = false;
  isOver = false;
  overs = 0;
  nowMs = 1000;
  readonly playout: Playout<Piece>;
  #lastId = 0;

  constructor(leadMs = 120, frameMs = 60) {
    const stage = this;
    this.playout = new Playout<Piece>({
      format: FORMAT,
      leadMs,
      frameMs,
      startsAtMs: this.nowMs,
      source: {
        next: () => this.queue.shift(),
        get isOver() {
          return stage.isOver && stage.queue.length === 0;
        },
        heard: (piece, playedMs, isWhole) => {
          this.heardMs.set(piece.id, (this.heardMs.get(piece.id) ?? 0) + playedMs);
          if (isWhole) this.whole.push(piece.id);
        },
        giveBack: (pieces) => this.returned.push(...pieces.map(({ id }) => id)),
      },
      sink: {
        get isFull() {
          return stage.isFull;
        },
        write: (bytes) => void this.written.push({ atMs: this.nowMs, bytes: new Uint8Array(bytes) }),
      },
      listener: {
        onFrame: (lateMs) => this.lateMs.push(lateMs),
        onUnderrun: (gapMs) => this.gapsMs.push(gapMs),
        onOver: () => {
          this.overs += 1;
        },
      },
    });
  }

  /** Queues a piece whose bytes all carry its number. */
  say(playMs = 60): number {
    const id = ++this.#lastId;
    this.queue.push({ id, playMs, bytes: new Uint8Array(playMs * MS).fill(id) });
    return id;
  }

  /** Beats up to `untilMs` from the start, 20 ms apart. */
  run(untilMs: number): void {
    while (this.nowMs < 1000 + untilMs) {
      this.playout.beat(this.nowMs, this.nowMs);
      this.nowMs += 20;
    }
  }

  get writtenMs(): number {
    return this.written.reduce((sum, { bytes }) => sum + bytes.length, 0) / MS;
  }

  /** All that was said, without silence. */
  get said(): number[] {
    return this.written.flatMap(({ bytes }) => [...bytes]).filter((byte) => byte !== SILENCE);
  }
}

describe('a stream in real time', () => {
  it('begins at once with its lead, and then writes a frame when the client has played one', () => {
    const stage = new Stage();
    stage.run(400);
    expect(stage.written.map(({ atMs }) => atMs - 1000)).toEqual([0, 0, 60, 120, 180, 240, 300, 360]);
    expect(stage.written.every(({ bytes }) => bytes.length === 60 * MS && bytes.every((b) => b === SILENCE))).toBe(
      true,
    );
    expect(stage.lateMs).toEqual([0, 0, 0, 0, 0, 0]);
    expect(stage.gapsMs).toEqual([]);
  });

  it('says what comes in the next frame, joined without a seam', () => {
    const stage = new Stage(120, 20);
    stage.run(100);
    const [a, b] = [stage.say(60), stage.say(60)];
    stage.run(400);
    expect(stage.said).toEqual([...Array(480).fill(a), ...Array(480).fill(b)]);
    const first = stage.written.findIndex(({ bytes }) => bytes[0] === a);
    const last = stage.written.findLastIndex(({ bytes }) => bytes[0] === b);
    expect(last - first).toBe(5);
  });

  it('has heard what was written a lead ago, to the millisecond', () => {
    const stage = new Stage(120, 60);
    stage.run(60);
    const id = stage.say(60);
    stage.run(80);
    // Written at 60, when 120 ms were out: it plays from 120 to 180.
    stage.playout.settle(1000 + 119);
    expect(stage.heardMs.get(id)).toBeUndefined();
    stage.playout.settle(1000 + 147);
    expect(stage.heardMs.get(id)).toBe(27);
    expect(stage.whole).toEqual([]);
    stage.playout.settle(1000 + 180);
    expect(stage.heardMs.get(id)).toBe(60);
    expect(stage.whole).toEqual([id]);
    stage.playout.settle(1000 + 999);
    expect(stage.heardMs.get(id)).toBe(60);
  });

  it('is silent from the next frame on when it is interrupted', () => {
    const stage = new Stage(120, 20);
    for (let i = 0; i < 10; i++) stage.say(60);
    stage.run(300);
    stage.playout.settle(stage.nowMs);
    const saidBefore = stage.said.length;
    stage.queue.length = 0;
    stage.playout.flush();
    stage.run(600);
    expect(stage.said.length).toBe(saidBefore);
    // What was in the client's hands at that moment does not count as heard.
    const heard = [...stage.heardMs.values()].reduce((sum, ms) => sum + ms, 0);
    expect(heard).toBe(300);
    expect(saidBefore / MS).toBe(400);
  });

  it('gives back what was not heard when the client goes', () => {
    const stage = new Stage(120, 60);
    const ids = [stage.say(60), stage.say(60), stage.say(60)];
    stage.run(80);
    stage.playout.close(1000 + 70);
    expect(stage.whole).toEqual([ids[0]]);
    expect(stage.heardMs.get(ids[1]!)).toBe(10);
    expect(stage.returned).toEqual([ids[1], ids[2]]);
    stage.playout.close(1000 + 500);
    stage.run(400);
    expect(stage.returned).toHaveLength(2);
  });

  it('ends once everything has been heard, and not before', () => {
    const stage = new Stage();
    stage.say(60);
    stage.isOver = true;
    stage.run(60);
    expect(stage.overs).toBe(0);
    stage.run(300);
    expect(stage.overs).toBe(1);
    expect(stage.whole).toHaveLength(1);
  });
});

describe('a stream that falls behind', () => {
  it('keeps all speech and drops the silence that would have been played', () => {
    const stage = new Stage();
    stage.run(100);
    const before = stage.writtenMs;
    const ids = Array.from({ length: 5 }, () => stage.say(60));
    stage.nowMs += 2000;
    stage.run(3000);
    expect(stage.said.filter((_, i) => i % 480 === 0)).toEqual(ids);
    expect(stage.whole).toEqual(ids);
    expect(stage.gapsMs).toHaveLength(1);
    const gapMs = stage.gapsMs[0]!;
    expect(gapMs).toBe(1000 + 2100 - 1000 - before);
    expect(stage.writtenMs).toBeLessThanOrEqual(3000 - gapMs + 120);
  });

  it('goes on with the beat when it begins or begins anew between two', () => {
    const stage = new Stage();
    const beats = (untilMs: number, lateMs: number) => {
      for (; stage.nowMs < 1000 + untilMs; stage.nowMs += 20) stage.playout.beat(stage.nowMs, stage.nowMs + lateMs);
    };
    beats(20, 7);
    beats(400, 0);
    stage.nowMs += 2000;
    beats(2420, 13);
    beats(3000, 0);
    const [first, ...rest] = stage.lateMs;
    expect(first).toBe(0);
    expect(rest.filter((lateMs) => lateMs > 0)).toEqual([]);
    expect(stage.gapsMs.every((gapMs) => gapMs % 20 === 0)).toBe(true);
    expect(stage.gapsMs).toHaveLength(1);
  });

  it('refills its lead and no more', () => {
    const stage = new Stage();
    stage.run(100);
    const frames = stage.written.length;
    stage.nowMs += 2000;
    stage.playout.beat(stage.nowMs, stage.nowMs);
    expect(stage.written.length - frames).toBe(2);
  });

  it('writes nothing while the client does not read', () => {
    const stage = new Stage();
    stage.run(100);
    const frames = stage.written.length;
    stage.isFull = true;
    const id = stage.say(60);
    stage.run(1000);
    expect(stage.written.length).toBe(frames);
    stage.isFull = false;
    stage.run(1500);
    expect(stage.whole).toEqual([id]);
    expect(stage.gapsMs).toHaveLength(1);
  });
});

it('holds whatever happens: in order, whole, never more than the lead ahead', () => {
  fc.assert(
    fc.property(
      fc.constantFrom<[number, number]>([120, 60], [40, 20], [400, 100], [200, 40], [60, 60]),
      fc.array(
        fc.record({
          sleepMs: fc.oneof(
            { weight: 8, arbitrary: fc.integer({ min: 15, max: 30 }) },
            fc.integer({ min: 0, max: 900 }),
          ),
          say: fc.array(fc.integer({ min: 1, max: 90 }), { maxLength: 3 }),
          isFull: fc.boolean(),
          interrupts: fc.integer({ min: 0, max: 20 }).map((n) => n === 0),
        }),
        { maxLength: 60 },
      ),
      ([leadMs, frameMs], steps) => {
        const stage = new Stage(leadMs, frameMs);
        const expected: number[] = [];
        // What a client plays that starts with the first byte and waits when it has none.
        let playedMs = 0;
        for (const { sleepMs, say, isFull, interrupts } of steps) {
          stage.isFull = isFull && sleepMs > 20;
          if (interrupts) {
            stage.playout.settle(stage.nowMs);
            stage.queue.length = 0;
            stage.playout.flush();
            expected.splice(stage.said.length);
          }
          for (const playMs of say) {
            const id = stage.say(playMs) % 250;
            stage.queue.at(-1)!.bytes.fill(id);
            expected.push(...Array(playMs * MS).fill(id));
          }
          stage.playout.beat(stage.nowMs, stage.nowMs);
          expect(stage.writtenMs - playedMs).toBeLessThanOrEqual(leadMs + 1e-6);
          expect(stage.said).toEqual(expected.slice(0, stage.said.length));
          playedMs = Math.min(stage.writtenMs, playedMs + sleepMs);
          stage.nowMs += sleepMs;
        }
        stage.playout.settle(stage.nowMs);
        const heardMs = [...stage.heardMs.values()].reduce((sum, ms) => sum + ms, 0);
        expect(heardMs).toBeLessThanOrEqual(playedMs + 1e-6);
        expect(stage.whole).toEqual([...stage.whole].sort((a, b) => a - b));
      },
    ),
    { numRuns: 300 },
  );
});
