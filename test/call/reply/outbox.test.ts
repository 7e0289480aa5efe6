import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CallAction, Outbox, type OutboxBatch, type OutboxEntry } from '../../../src/call/reply/outbox.ts';

const FORMAT = { encoding: 'pcmu', sampleRateHz: 8000 } as const;

function outbox() {
  const delivered: OutboxEntry[] = [];
  let changes = 0;
  const box = new Outbox(
    {
      wake: () => {
        changes += 1;
      },
    },
    { onDelivered: (entry) => delivered.push(entry) },
    () => nowMs,
  );
  let frames = 0;
  let nowMs = 0;
  return {
    box,
    delivered,
    deliveredSeqs: () => delivered.map(({ seq }) => seq),
    changes: () => changes,
    later(ms: number) {
      nowMs += ms;
    },
    /** Queues `count` frames of 60 ms. */
    speak(count: number, itemId = 'item') {
      box.pushAudio(
        itemId,
        Array.from({ length: count }, () => ({ base64: `f${frames++}`, frameMs: 60, audioMs: 60 })),
        0,
        FORMAT,
      );
    },
  };
}

const seqs = ({ entries }: OutboxBatch) => entries.map(({ seq }) => seq);
const hangup: CallAction = { id: 'a', type: 'hangup' };

describe('Outbox', () => {
  it('numbers entries from 0 and hands them out in order', () => {
    const { box, speak } = outbox();
    expect(box.restingSeq(undefined)).toBe(-1);
    speak(2);
    box.pushTranscript('[AI]: Hello');
    speak(1);
    expect(box.queuedAudioMs).toBe(180);
    const batch = box.take({});
    expect(seqs(batch)).toEqual([0, 1, 2, 3]);
    expect(batch.entries.map(({ kind }) => kind)).toEqual(['audio', 'audio', 'transcript', 'audio']);
    expect(box.restingSeq(undefined)).toBe(3);
  });

  it('takes what was written as delivered when the client does not acknowledge', () => {
    const { box, speak, deliveredSeqs } = outbox();
    speak(2);
    const batch = box.take({});
    expect(deliveredSeqs()).toEqual([]);
    batch.written();
    expect(deliveredSeqs()).toEqual([0, 1]);
    expect(box.isEmpty).toBe(true);
    expect(box.queuedAudioMs).toBe(0);
    expect(seqs(box.take({}))).toEqual([]);
  });

  it('delivers again, in its old place, what was not written', () => {
    const { box, speak, deliveredSeqs, changes } = outbox();
    speak(2);
    const lost = box.take({});
    speak(1);
    const before = changes();
    lost.aborted();
    expect(changes()).toBe(before + 1);
    const again = box.take({});
    expect(seqs(again)).toEqual([0, 1, 2]);
    again.written();
    expect(deliveredSeqs()).toEqual([0, 1, 2]);
  });

  it('lets nothing overtake an answer that is still being written', () => {
    const { box, speak, changes, deliveredSeqs } = outbox();
    speak(2);
    const slow = box.take({});
    speak(2);
    expect(box.hasEntries(undefined)).toBe(false);
    expect(seqs(box.take({}))).toEqual([]);
    const before = changes();
    slow.written();
    // Whoever waits for what was held back is told.
    expect(changes()).toBe(before + 1);
    expect(box.hasEntries(undefined)).toBe(true);
    const rest = box.take({});
    expect(seqs(rest)).toEqual([2, 3]);
    rest.written();
    expect(deliveredSeqs()).toEqual([0, 1, 2, 3]);
  });

  it('keeps what was written until it is acknowledged, and delivers the rest again', () => {
    const { box, speak, deliveredSeqs, later } = outbox();
    speak(4);
    const first = box.take({ ack: -1 });
    first.written();
    expect(deliveredSeqs()).toEqual([]);
    expect(box.queuedAudioMs).toBe(240);
    expect(box.hasEntries(-1)).toBe(false);
    later(1_000);
    expect(box.hasEntries(-1)).toBe(true);
    expect(seqs(box.take({ ack: 1 }))).toEqual([2, 3]);
    expect(deliveredSeqs()).toEqual([0, 1]);
    box.acknowledge(3);
    expect(deliveredSeqs()).toEqual([0, 1, 2, 3]);
    expect(box.hasEntries(3)).toBe(false);
  });

  it('believes no acknowledgement of what was never sent', () => {
    const { box, speak, deliveredSeqs } = outbox();
    speak(3);
    box.acknowledge(99);
    expect(deliveredSeqs()).toEqual([]);
    expect(seqs(box.take({ ack: -1, maxMs: 60 }))).toEqual([0]);
    box.acknowledge(99);
    expect(deliveredSeqs()).toEqual([0]);
    expect(box.restingSeq(99)).toBe(0);
  });

  it('believes an acknowledgement of an answer older than the last', () => {
    const { box, speak, deliveredSeqs, later } = outbox();
    speak(6);
    box.take({ ack: -1 }).written();
    later(1_000);
    // Another request repeats the beginning only.
    expect(seqs(box.take({ ack: -1, maxMs: 120 }))).toEqual([0, 1]);
    box.acknowledge(5);
    expect(deliveredSeqs()).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('repeats in an empty answer what the client said, not what another answer carried', () => {
    const { box, speak } = outbox();
    speak(3);
    box.take({ ack: -1 });
    expect(box.restingSeq(-1)).toBe(-1);
    expect(box.restingSeq(2)).toBe(2);
  });

  it('caps the audio of an answer, but never below a frame', () => {
    const { box, speak } = outbox();
    speak(5);
    for (const [maxMs, expected] of [
      [1, [0]],
      [179, [0, 1]],
      [180, [0, 1, 2]],
    ] as const) {
      const batch = box.take({ ack: -1, maxMs });
      expect(seqs(batch)).toEqual(expected);
      batch.aborted();
    }
  });

  it('ends an answer at an action', () => {
    const { box, speak } = outbox();
    speak(1);
    box.pushAction(hangup);
    speak(1);
    const batch = box.take({});
    expect(seqs(batch)).toEqual([0, 1]);
    batch.written();
    expect(seqs(box.take({}))).toEqual([2]);
  });

  it('discards unacknowledged audio at an interruption and keeps words and actions', () => {
    const { box, speak, deliveredSeqs, later } = outbox();
    speak(2);
    box.pushTranscript('[AI]: Hello');
    box.pushAction(hangup);
    const inFlight = box.take({ ack: -1 });
    inFlight.written();
    speak(1);
    expect(box.interrupt()).toEqual([]);
    expect(box.generation).toBe(1);
    expect(box.queuedAudioMs).toBe(0);
    speak(1);
    later(1_000);
    const next = box.take({ ack: -1 });
    expect(next.entries.map(({ seq, kind, generation }) => [seq, kind, generation])).toEqual([
      [2, 'transcript', 0],
      [3, 'action', 0],
    ]);
    expect(seqs(box.take({ ack: 3 }))).toEqual([5]);
    expect(deliveredSeqs()).toEqual([2, 3]);
  });

  it('never reports audio as delivered that was cut while it was being written', () => {
    const { box, speak, deliveredSeqs } = outbox();
    speak(2);
    const inFlight = box.take({});
    box.interrupt();
    inFlight.written();
    expect(deliveredSeqs()).toEqual([]);
    expect(box.queuedAudioMs).toBe(0);
  });

  it('withdraws at an interruption the actions it is told to, unless they are on their way', () => {
    const { box } = outbox();
    box.pushAction(hangup);
    expect(box.interrupt(() => false)).toEqual([hangup]);
    expect(box.isEmpty).toBe(true);
    box.pushAction(hangup);
    const onItsWay = box.take({ ack: -1 });
    expect(box.interrupt(() => false)).toEqual([]);
    onItsWay.aborted();
    expect(seqs(box.take({ ack: -1 }))).toEqual([1]);
  });

  it('forgets everything when it is closed, and what still comes', () => {
    const { box, speak, deliveredSeqs } = outbox();
    speak(2);
    const inFlight = box.take({});
    box.close();
    speak(2);
    box.pushTranscript('[AI]: too late');
    inFlight.written();
    expect(box.isEmpty).toBe(true);
    expect(box.queuedAudioMs).toBe(0);
    expect(seqs(box.take({}))).toEqual([]);
    expect(deliveredSeqs()).toEqual([]);
  });

  it('lets a listener push while entries are reported', () => {
    const lines: string[] = [];
    const onDelivered = (entry: OutboxEntry) => {
      if (entry.kind === 'audio') box.pushTranscript(`after ${entry.seq}`);
      else if (entry.kind === 'transcript') lines.push(entry.line);
    };
    const box = new Outbox({ wake: () => {} }, { onDelivered });
    box.pushAudio('item', [{ base64: 'x', frameMs: 60, audioMs: 60 }], 0, FORMAT);
    box.take({}).written();
    box.take({}).written();
    expect(lines).toEqual(['after 0']);
  });

  it('gives an acknowledging client every entry exactly once, whatever is lost', () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ do: fc.constant('speak' as const), count: fc.integer({ min: 1, max: 5 }) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('line' as const) }) },
      {
        weight: 6,
        arbitrary: fc.record({
          do: fc.constant('read' as const),
          maxMs: fc.option(fc.integer({ min: 1, max: 400 }), { nil: undefined }),
          fate: fc.constantFrom('arrives', 'lost', 'aborted', 'late'),
          afterMs: fc.constantFrom(0, 50, 1_000),
        }),
      },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { box, speak, deliveredSeqs, later } = outbox();
        const received: number[] = [];
        let pushed = 0;
        let ack = -1;
        /** Answers that arrive after the next one was asked for. */
        let late: OutboxBatch | undefined;
        const read = (maxMs: number | undefined) => box.take({ ack, maxMs });
        const arrive = (batch: OutboxBatch, asked: number) => {
          if (asked !== ack) return;
          for (const { seq } of batch.entries) received.push(seq);
          ack = batch.entries.at(-1)?.seq ?? box.restingSeq(ack);
        };
        for (const next of steps) {
          if (next.do === 'speak') {
            speak(next.count);
            pushed += next.count;
          } else if (next.do === 'line') {
            box.pushTranscript('line');
            pushed += 1;
          } else {
            later(next.afterMs);
            const asked = ack;
            const batch = read(next.maxMs);
            if (next.fate === 'aborted') batch.aborted();
            else if (next.fate === 'late') {
              late?.aborted();
              late = batch;
            } else {
              batch.written();
              if (next.fate === 'arrives') arrive(batch, asked);
            }
            if (late && next.fate !== 'late') {
              late.written();
              late = undefined;
            }
          }
        }
        late?.aborted();
        for (;;) {
          later(1_000);
          const asked = ack;
          const batch = read(undefined);
          batch.written();
          if (batch.entries.length === 0) break;
          arrive(batch, asked);
        }
        const all = Array.from({ length: pushed }, (_, seq) => seq);
        expect(received).toEqual(all);
        expect(deliveredSeqs()).toEqual(all);
        expect(box.isEmpty).toBe(true);
        expect(box.queuedAudioMs).toBe(0);
      }),
      { seed: 20_260_803, numRuns: 500 },
    );
  });

  it('gives a client that does not acknowledge every entry in order, and again only what was broken off', () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('speak' as const), count: fc.integer({ min: 1, max: 5 }) }),
      fc.record({
        do: fc.constant('read' as const),
        maxMs: fc.option(fc.integer({ min: 1, max: 400 }), { nil: undefined }),
        written: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { box, speak, deliveredSeqs } = outbox();
        const received: number[] = [];
        let pushed = 0;
        const last = Array.from({ length: 10 }, () => ({ do: 'read' as const, maxMs: undefined, written: true }));
        for (const next of [...steps, ...last]) {
          if (next.do === 'speak') {
            speak(next.count);
            pushed += next.count;
            continue;
          }
          const batch = box.take({ maxMs: next.maxMs });
          if (!next.written) batch.aborted();
          else {
            received.push(...seqs(batch));
            batch.written();
          }
        }
        const all = Array.from({ length: pushed }, (_, seq) => seq);
        expect(received).toEqual(all);
        expect(deliveredSeqs()).toEqual(all);
      }),
      { seed: 20_260_804, numRuns: 500 },
    );
  });
});
