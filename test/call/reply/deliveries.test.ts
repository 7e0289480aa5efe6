import { describe, expect, it } from 'vitest';
import type { EndReason } from '../../../src/call/end-reason.ts';
import { CallGuard } from '../../../src/call/guard.ts';
import { Deliveries, type Delivery, type DeliveryKind } from '../../../src/call/reply/deliveries.ts';
import { Outbox, type TakeOptions } from '../../../src/call/reply/outbox.ts';
import { type Departure, PollWait } from '../../../src/call/reply/poll-wait.ts';
import { pollAnswer } from '../../../src/http/delivery-answer.ts';

const FORMAT = { encoding: 'pcmu', sampleRateHz: 8000 } as const;

/** A client that is there, until it is told to go. */
function present(): Departure & { go(): void } {
  let told: (() => void) | undefined;
  return {
    isGone: false,
    watch: (onGone) => {
      told = onGone;
    },
    go: () => told?.(),
  };
}

const failing = new CallGuard((error) => {
  throw error;
});

/** With the answer that is made of it. */
const told = (delivery: Delivery) => ({ ...delivery, answer: pollAnswer(delivery, { hasWords: true }) });

function call() {
  const delivered: number[] = [];
  const handedOver: number[] = [];
  const standing: { isSaidOut: boolean; endReason: EndReason | undefined; error: string | undefined } = {
    isSaidOut: false,
    endReason: undefined,
    error: undefined,
  };
  let lastAnswers = 0;
  const nowMs = { value: 1000 };
  const streams = { isPlaying: false };
  const polls = new PollWait();
  const outbox = new Outbox(polls, { onDelivered: ({ seq }) => delivered.push(seq) }, () => nowMs.value);
  const deliveries = new Deliveries({
    outbox,
    polls,
    guard: failing,
    standing,
    streams,
    observer: { replyHandedOver: (entries) => handedOver.push(...entries.map(({ seq }) => seq)) },
    listener: {
      onLastAnswer: () => {
        lastAnswers += 1;
      },
    },
  });
  return {
    nowMs,
    streams,
    outbox,
    deliveries,
    now: (kind: DeliveryKind, query: TakeOptions) => told(deliveries.now(kind, query)),
    delivered,
    handedOver,
    standing,
    lastAnswers: () => lastAnswers,
    say(...base64: string[]) {
      outbox.pushAudio(
        'item',
        base64.map((text) => ({ base64: text, frameMs: 60, audioMs: 60 })),
        0,
        FORMAT,
      );
    },
    poll: async (query: TakeOptions = {}, timeoutMs = 10_000, client: Departure = present()) =>
      told(await deliveries.poll(query, timeoutMs, client)),
  };
}

describe('Deliveries', () => {
  it('joins what is queued into one answer', async () => {
    const { outbox, say, poll, handedOver } = call();
    say('AAAA', 'BBBB');
    outbox.pushTranscript('[User]: Hello');
    outbox.pushTranscript('[AI]: Hi there!');
    const { answer } = await poll();
    expect(answer).toEqual({
      audio: 'AAAABBBB',
      transcript: '[User]: Hello\n[AI]: Hi there!',
      seq: 3,
      generation: 0,
      hasMore: true,
    });
    expect(handedOver).toEqual([0, 1]);
  });

  it('leaves out what it does not have: nothing is null and nothing is empty', async () => {
    const { poll } = call();
    const { answer } = await poll({}, 0);
    expect(answer).toEqual({ seq: -1, generation: 0, hasMore: true });
  });

  it('answers a waiting poll when something comes', async () => {
    const { say, poll } = call();
    const waiting = poll();
    say('AAAA');
    expect((await waiting).answer.audio).toBe('AAAA');
  });

  it('answers a waiting poll when its time is over', async () => {
    const { poll } = call();
    expect((await poll({}, 5)).answer).toEqual({ seq: -1, generation: 0, hasMore: true });
  });

  it('answers the first of two polls at once, with nothing', async () => {
    const { say, poll } = call();
    const first = poll();
    const second = poll();
    expect((await first).answer).toEqual({ seq: -1, generation: 0, hasMore: true });
    say('AAAA');
    expect((await second).answer.audio).toBe('AAAA');
  });

  it('ends the wait of a client that is gone, and keeps what comes for the next poll', async () => {
    const { say, poll, deliveries } = call();
    const client = present();
    const waiting = poll({}, 10_000, client);
    expect(deliveries.isAwaited).toBe(true);
    client.go();
    expect((await waiting).answer.audio).toBeUndefined();
    expect(deliveries.isAwaited).toBe(false);
    say('AAAA');
    expect((await poll()).answer.audio).toBe('AAAA');
  });

  it('takes an acknowledgement when the poll comes, not when it is answered', async () => {
    const { say, poll, delivered } = call();
    say('AAAA');
    (await poll({ ack: -1 })).written();
    expect(delivered).toEqual([]);
    const waiting = poll({ ack: 0 }, 20);
    expect(delivered).toEqual([0]);
    await waiting;
  });

  it('never says the seq of an answer that an acknowledging client may not have', async () => {
    const { say, poll } = call();
    const superseded = poll({ ack: -1 });
    const winner = poll({ ack: -1 });
    say('AAAA');
    expect((await winner).answer.seq).toBe(0);
    expect((await superseded).answer.seq).toBe(-1);
  });

  it('holds back what is behind an answer that is being written, for a client without acknowledgements', async () => {
    const { say, poll, now } = call();
    say('AAAA');
    const slow = await poll();
    say('BBBB');
    expect(now('stream', {}).answer.audio).toBeUndefined();
    const waiting = poll();
    slow.written();
    expect((await waiting).answer.audio).toBe('BBBB');
  });

  it('lets no reply of a new generation overtake an answer without acknowledgement', async () => {
    const { say, poll, deliveries, outbox, now } = call();
    say('AAAA');
    const slow = await poll();
    outbox.interrupt();
    deliveries.interrupted();
    say('BBBB');
    // That it was interrupted is told at once.
    const told = now('stream', {}).answer;
    expect(told).toMatchObject({ generation: 1, interrupted: true });
    expect(told.audio).toBeUndefined();
    slow.written();
    expect(now('stream', {}).answer.audio).toBe('BBBB');
  });

  it('begins again with an answer whose connection is gone', async () => {
    const { say, poll } = call();
    say('AAAA');
    const slow = await poll();
    const waiting = poll();
    slow.aborted();
    expect((await waiting).answer.audio).toBe('AAAA');
  });

  it('sends nothing twice to requests that were under way before its answer was acknowledged', async () => {
    const { say, poll, now } = call();
    say('AAAA', 'BBBB');
    const slow = await poll({ ack: -1 });
    expect(now('stream', { ack: -1 }).answer).toEqual({ seq: -1, generation: 0, hasMore: true });
    slow.written();
    say('CCCC');
    expect(now('stream', { ack: -1 }).answer.audio).toBeUndefined();
    expect(now('stream', { ack: 1 }).answer.audio).toBe('CCCC');
  });

  it('sends again what is not acknowledged in time, from there on', async () => {
    const { say, poll, nowMs } = call();
    say('AAAA', 'BBBB');
    (await poll({ ack: -1 })).written();
    say('CCCC');
    nowMs.value += 119;
    expect((await poll({ ack: -1 }, 0)).answer.audio).toBeUndefined();
    nowMs.value += 1;
    expect((await poll({ ack: -1 }, 0)).answer.audio).toBe('AAAABBBBCCCC');
  });

  it('lets a poll wait for what may be sent again', async () => {
    const { say, poll, nowMs } = call();
    say('AAAA');
    (await poll({ ack: -1 })).written();
    const waiting = poll({ ack: -1 });
    nowMs.value += 100;
    expect((await waiting).answer.audio).toBe('AAAA');
  });

  it('carries three seconds of audio where the client names no measure', async () => {
    const { say, poll } = call();
    say(...Array.from({ length: 60 }, () => 'AAAA'));
    expect((await poll()).answer.audio).toHaveLength(50 * 4);
    const { say: sayToo, poll: pollToo } = call();
    sayToo(...Array.from({ length: 60 }, () => 'AAAA'));
    expect((await pollToo({ ack: -1 })).answer.audio).toHaveLength(50 * 4);
    expect((await pollToo({ ack: -1, maxMs: 3_600 }, 0)).answer.audio).toBeUndefined();
  });

  it('carries nothing while a stream plays the call', async () => {
    const { say, poll, deliveries, streams, now } = call();
    say('AAAA');
    streams.isPlaying = true;
    expect(now('stream', {}).answer).toEqual({ seq: -1, generation: 0, hasMore: true });
    expect((await poll({}, 5)).answer.audio).toBeUndefined();
    const waiting = poll();
    streams.isPlaying = false;
    deliveries.wake();
    expect((await waiting).answer.audio).toBe('AAAA');
  });

  it('tells of an interruption once in each kind of answer, and completes a waiting poll with it', async () => {
    const { outbox, deliveries, poll } = call();
    const waiting = poll();
    outbox.interrupt();
    deliveries.interrupted();
    expect((await waiting).answer).toEqual({ seq: -1, generation: 1, interrupted: true, hasMore: true });
    expect((await poll({}, 0)).answer.interrupted).toBeUndefined();
    expect(deliveries.takeInterrupted('stream')).toBe(true);
    expect(deliveries.takeInterrupted('stream')).toBe(false);
  });

  it('tells of an interruption again when the answer that did was lost', async () => {
    const { outbox, deliveries, poll, now } = call();
    outbox.interrupt();
    deliveries.interrupted();
    (await poll({}, 0)).aborted();
    expect((await poll({}, 0)).answer.interrupted).toBe(true);
    expect(deliveries.takeInterrupted('stream')).toBe(true);
    deliveries.giveBackInterrupted('stream');
    expect(now('stream', {}).answer.interrupted).toBe(true);
  });

  it('may bring audio of the new generation along with the interruption', async () => {
    const { outbox, deliveries, say, poll } = call();
    say('old!');
    outbox.interrupt();
    deliveries.interrupted();
    say('new!');
    expect((await poll()).answer).toMatchObject({ audio: 'new!', generation: 1, interrupted: true });
  });

  it('says that nothing more comes only when the call is over and everything was delivered', async () => {
    const { say, poll, standing, lastAnswers } = call();
    say('AAAA');
    standing.isSaidOut = true;
    standing.endReason = 'agent_hangup';
    const speech = await poll();
    expect(speech.answer).toEqual({ audio: 'AAAA', seq: 0, generation: 0, hasMore: true });
    speech.written();
    const last = await poll();
    expect(last.answer).toEqual({ seq: 0, generation: 0, hasMore: false, endReason: 'agent_hangup' });
    expect(lastAnswers()).toBe(0);
    last.aborted();
    expect(lastAnswers()).toBe(0);
    (await poll()).written();
    expect(lastAnswers()).toBe(1);
  });

  it('waits for an acknowledgement before it says that nothing more comes', async () => {
    const { say, poll, standing, nowMs } = call();
    say('AAAA');
    standing.isSaidOut = true;
    (await poll({ ack: -1 })).written();
    nowMs.value += 1_000;
    expect((await poll({ ack: -1 })).answer).toMatchObject({ audio: 'AAAA', hasMore: true });
    expect((await poll({ ack: 0 })).answer).toEqual({ seq: 0, generation: 0, hasMore: false });
  });

  it('does not keep a client polling while an answer is on its way to it', async () => {
    const { say, poll, standing } = call();
    say('AAAA');
    standing.isSaidOut = true;
    const slow = await poll();
    const waiting = poll();
    slow.written();
    expect((await waiting).answer.hasMore).toBe(false);
  });

  it('says why a call could not go on', async () => {
    const { poll, standing } = call();
    Object.assign(standing, { isSaidOut: true, endReason: 'upstream_failed', error: 'the AI failed' });
    expect((await poll()).answer).toMatchObject({
      hasMore: false,
      endReason: 'upstream_failed',
      error: 'the AI failed',
    });
  });
});
