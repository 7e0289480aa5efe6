import { beforeEach, describe, expect, it } from 'vitest';
import type { LiveCall } from '../../src/call/live-call.ts';
import { TranscriptLines } from '../../src/call/record/lines.ts';
import { CallTimeline } from '../../src/call/record/timeline.ts';
import type { EventStream } from '../../src/http/event-stream.ts';
import type { Follower } from '../../src/http/followers.ts';
import type { CallSession } from '../../src/http/gateway.ts';
import { LiveCalls } from '../../src/http/live-calls.ts';

const CALL: LiveCall = {
  sessionId: '',
  callId: '',
  tenantId: 'acme',
  aiAgentRef: 'a',
  encoding: 'pcm16',
  sampleRate: 16_000,
  status: 'active',
  createdAt: '',
  transcriptCount: 0,
  actionsCount: 0,
  generation: 0,
  queuedAudioMs: 0,
  phase: 'listening',
  turnCount: 0,
  interruptions: 0,
  reconnects: 0,
  faultCount: 0,
};

let nowMs: number;
let running: Map<string, LiveCall>;
let looks: number;
let calls: LiveCalls;

beforeEach(() => {
  nowMs = 10_000;
  looks = 0;
  running = new Map();
  calls = new LiveCalls({
    *runningCalls() {
      looks += 1;
      for (const id of running.keys()) {
        yield { id, live: () => running.get(id) ?? { ...CALL, sessionId: id, endReason: 'completed' } } as CallSession;
      }
    },
  });
});

function change(id: string, fields: Partial<LiveCall> = {}): void {
  running.set(id, { ...(running.get(id) ?? { ...CALL, sessionId: id, callId: id }), ...fields });
}

interface Reader {
  readonly told: { readonly name: string; readonly data: string; readonly id: string | undefined }[];
  readonly follower: Follower;
}

function reader(tenantId?: string, lastEventId?: string): Reader {
  const told: Reader['told'] = [];
  const stream = { send: (name: string, data: string, id?: string) => told.push({ name, data, id }) };
  return { told, follower: calls.follower(stream as unknown as EventStream, { tenantId }, false, lastEventId) };
}

/** As its timer would: ten times a second. */
function pass(ms: number, ...readers: Reader[]): void {
  for (const endsAtMs = nowMs + ms; nowMs < endsAtMs; nowMs += 100)
    for (const { follower } of readers) follower.look(nowMs);
}

/** What somebody knows who was told all that. */
function knownTo({ told }: Reader): Record<string, number> {
  const known = new Map<string, number>();
  for (const { name, data } of told) {
    const { calls: all, changed = all, ended = [] } = JSON.parse(data);
    if (name === 'snapshot') known.clear();
    if (name === 'gap') continue;
    for (const { sessionId, turnCount } of changed) known.set(sessionId, turnCount);
    for (const { sessionId } of ended) known.delete(sessionId);
  }
  return Object.fromEntries(known);
}

describe('the list of calls', () => {
  it('is looked at twice a second, however many look, and not at all when nobody does', () => {
    const readers = Array.from({ length: 5 }, () => reader());
    pass(100, ...readers);
    looks = 0;
    pass(10_000, ...readers);
    expect(looks).toBe(20);
  });

  it('tells of a call once a second at most, and of the last state within a second', () => {
    const one = reader();
    change('a');
    pass(100, one);
    for (let i = 1; i <= 50; i++) {
      change('a', { turnCount: i });
      pass(100, one);
    }
    expect(one.told.length).toBeLessThanOrEqual(6);
    expect(one.told.length).toBeGreaterThanOrEqual(5);
    pass(1_000, one);
    expect(knownTo(one)).toEqual({ a: 50 });
  });

  it('tells nothing when nothing has changed, or only what is queued, by less than a second', () => {
    const one = reader();
    change('a', { queuedAudioMs: 1_200 });
    pass(1_000, one);
    change('a', { queuedAudioMs: 700 });
    pass(2_000, one);
    expect(one.told).toHaveLength(1);
    change('a', { queuedAudioMs: 0 });
    pass(1_000, one);
    expect(one.told).toHaveLength(2);
  });

  it('tells whoever was away, or did not read, all at once and no more than is so', () => {
    const [quick, slow, gone] = [reader(), reader(), reader()];
    for (const id of ['a', 'b']) change(id);
    pass(100, quick, slow, gone);
    const { id } = gone.told.at(-1)!;
    for (let i = 1; i <= 20; i++) {
      change('a', { turnCount: i });
      if (i === 5) change('c');
      if (i === 9) running.delete('b');
      if (i === 12) running.delete('c');
      pass(500, quick);
    }
    const back = reader(undefined, id);
    pass(1_000, quick, slow, back);
    expect(slow.told.length).toBeLessThanOrEqual(3);
    expect(back.told.map(({ name }) => name)).not.toContain('snapshot');
    expect(knownTo(quick)).toEqual({ a: 20 });
    expect(knownTo(slow)).toEqual({ a: 20 });
    expect(knownTo({ ...back, told: [gone.told[0]!, ...back.told] })).toEqual({ a: 20 });
  });

  it('begins anew for whoever missed more ends than are kept, and for whoever comes from elsewhere', () => {
    const [quick, slow] = [reader(), reader()];
    change('stays');
    pass(100, quick, slow);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 1_000; i++) change(`${round}-${i}`);
      pass(1_000, quick);
      for (let i = 0; i < 1_000; i++) running.delete(`${round}-${i}`);
      pass(1_000, quick);
    }
    pass(500, slow, quick);
    expect(slow.told.map(({ name }) => name)).toEqual(['snapshot', 'gap', 'snapshot']);
    for (const one of [quick, slow]) expect(knownTo(one)).toEqual({ stays: 0 });
    const stranger = reader(undefined, '00000000-3');
    pass(100, stranger);
    expect(stranger.told.map(({ name }) => name)).toEqual(['gap', 'snapshot']);
  });

  it("has a tenant's own calls alone, and masks numbers", () => {
    change('a', { callerNumber: '393297626144' });
    change('b', { tenantId: 'beta' });
    const [acme, beta] = [reader('acme'), reader('beta')];
    pass(100, acme, beta);
    running.clear();
    pass(1_000, acme, beta);
    expect(acme.told).toHaveLength(2);
    expect(acme.told[0]!.data).toContain('"callerNumber":"…44"');
    expect(acme.told.map(({ data }) => data).join()).not.toMatch(/beta|3932/);
    expect(beta.told[1]!.data).toContain('"sessionId":"b"');
  });
});

describe('what is new on a call', () => {
  it('is each entry once, in order, and the last again for as long as it counts', () => {
    const timeline = new CallTimeline(() => nowMs);
    timeline.add('ready');
    const { revision } = timeline;
    timeline.tally('chunk_rejected', 'late');
    timeline.tally('chunk_rejected', 'late');
    expect(timeline.since(revision)).toMatchObject({
      events: [{ n: 1, type: 'chunk_rejected', count: 2 }],
      hasGap: false,
    });
    const later = timeline.revision;
    timeline.tally('chunk_rejected', 'late');
    timeline.add('speech_started');
    expect(timeline.since(later).events).toMatchObject([
      { n: 1, count: 3 },
      { n: 2, type: 'speech_started' },
    ]);
    expect(timeline.since(timeline.revision).events).toEqual([]);
    expect([timeline.faultCount, timeline.lastFault]).toEqual([1, 'chunk_rejected']);
  });

  it('has a gap where a very long call lost what somebody has not been told', () => {
    const timeline = new CallTimeline(() => nowMs);
    for (let i = 0; i < 1_000; i++) timeline.add('event');
    const { revision } = timeline;
    for (let i = 0; i < 1_500; i++) timeline.add('event');
    expect(timeline.since(revision).hasGap).toBe(false);
    for (let i = 0; i < 200; i++) timeline.add('event');
    expect(timeline.since(revision).hasGap).toBe(false);
    for (let i = 0; i < 500; i++) timeline.add('event');
    expect(timeline.since(revision).hasGap).toBe(true);
  });

  it('is a line from its first word on, and again when it was cut, goes by another name, or was none', () => {
    const lines = new TranscriptLines(() => nowMs);
    lines.begun('u1');
    lines.begun('a1', nowMs + 20);
    expect(lines.since(0)).toEqual([]);
    lines.agentSays('a1', 'one two three');
    lines.userSaid('u1', 'hello');
    expect(lines.since(0).map(({ id, role, isFinal }) => [id, role, isFinal])).toEqual([
      [0, 'user', true],
      [1, 'agent', false],
    ]);
    const { revision } = lines;
    lines.renamed('a1', 'a1-again');
    lines.heard('a1-again', 'one two three', 'one two');
    expect(lines.since(revision)).toEqual([
      { id: 1, atMs: 20, role: 'agent', text: 'one two three', heard: 'one two', cut: true, isFinal: true },
    ]);
    lines.removed('u1');
    lines.removed('never-there');
    expect(lines.since(0)[0]).toMatchObject({ id: 0, text: '', isRemoved: true });
  });
});
