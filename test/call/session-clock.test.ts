import { describe, expect, it } from 'vitest';
import type { AgentProfile } from '../../src/backend/profiles/agent-profile.ts';
import { SessionClock } from '../../src/call/session-clock.ts';

const LIMITS = { idleTimeoutMs: 600_000, firstAudioTimeoutMs: 30_000, outboxKeptMs: 60_000, summaryKeptMs: 600_000 };
const START_MS = 5_000;

function clockOf(profile: Partial<AgentProfile> = {}): { clock: SessionClock; at(s: number): number } {
  const clock = new SessionClock(LIMITS, { instructions: 'Answer.', ...profile }, START_MS);
  return { clock, at: (s) => START_MS + s * 1000 };
}

describe('a call', () => {
  it('is idle when its client has asked for nothing for long', () => {
    const { clock, at } = clockOf();
    clock.onCallerAudio();
    clock.onRequest(at(100));
    expect(clock.idleMs(at(160))).toBe(60_000);
    expect(clock.due(at(700), false)).toBeUndefined();
    expect(clock.due(at(700.1), false)).toMatchObject({ type: 'end', reason: 'idle' });
  });

  it('is idle when no audio ever comes', () => {
    const { clock, at } = clockOf();
    clock.onRequest(at(30));
    expect(clock.due(at(30), false)).toBeUndefined();
    expect(clock.due(at(31), false)).toMatchObject({ type: 'end', reason: 'idle' });
    clock.onCallerAudio();
    expect(clock.due(at(31), false)).toBeUndefined();
  });

  it('ends at its longest duration', () => {
    const { clock, at } = clockOf({ maxCallSeconds: 60 });
    clock.onCallerAudio();
    expect(clock.due(at(60), false)).toBeUndefined();
    expect(clock.due(at(61), true)).toMatchObject({ type: 'end', reason: 'max_duration' });
  });

  it('is abandoned when every client that asked for it has gone, and none comes back in time', () => {
    const { clock, at } = clockOf();
    clock.onAbandoned(at(1));
    clock.onAbandoned(at(2));
    expect(clock.due(at(3.9), false)).toBeUndefined();
    expect(clock.due(at(4), false)).toMatchObject({ type: 'end', reason: 'idle' });
    expect(clock.isUnattended(at(4))).toBe(true);
    clock.onClaimed();
    expect(clock.due(at(4), false)).toBeUndefined();
    expect(clock.isAbandoned(at(100))).toBe(false);
  });

  it.each(['before', 'after'])('is not abandoned when a client was told of it %s another had gone', (when) => {
    const { clock, at } = clockOf();
    if (when === 'before') clock.onClaimed();
    clock.onAbandoned(at(1));
    if (when === 'after') clock.onClaimed();
    expect(clock.due(at(20), false)).toBeUndefined();
  });

  it('is attended while its client has asked for something in the last minute', () => {
    const { clock, at } = clockOf();
    expect(clock.isUnattended(at(1))).toBe(true);
    clock.onRequest(at(1));
    clock.onAbandoned(at(1));
    expect(clock.isAbandoned(at(30))).toBe(false);
    expect(clock.isUnattended(at(61))).toBe(false);
    expect(clock.isUnattended(at(61.1))).toBe(true);
  });

  it('is kept for a while after it ended', () => {
    const { clock, at } = clockOf();
    clock.onEnded(at(10));
    expect(clock.isOutboxExpired(at(70))).toBe(false);
    expect(clock.isOutboxExpired(at(70.1))).toBe(true);
    expect(clock.isSummaryExpired(at(610))).toBe(false);
    expect(clock.isSummaryExpired(at(610.1))).toBe(true);
  });
});

describe('a caller who is silent', () => {
  const noInput = { afterSeconds: 10, say: 'Are you there?', hangUpAfter: 2 };
  function start(more: Partial<typeof noInput> = {}) {
    const both = clockOf({ noInput: { ...noInput, ...more } });
    both.clock.onCallerAudio();
    return both;
  }

  it('is asked, asked again, and then hung up on', () => {
    const { clock, at } = start();
    expect(clock.due(at(9), false)).toBeUndefined();
    expect(clock.due(at(10), false)).toEqual({
      type: 'prompt',
      instructions: 'Say exactly: "Are you there?"',
      count: 1,
    });
    clock.onAgentSpoke();
    expect(clock.due(at(19), false)).toBeUndefined();
    expect(clock.due(at(20), false)).toMatchObject({ type: 'prompt', count: 2 });
    clock.onAgentSpoke();
    expect(clock.due(at(30), false)).toMatchObject({ type: 'end', reason: 'agent_hangup' });
  });

  it('is asked for ever where the profile does not hang up', () => {
    const { clock, at } = clockOf({ noInput: { afterSeconds: 10, say: 'Hello?' } });
    clock.onCallerAudio();
    for (let count = 1; count <= 20; count++) {
      clock.onRequest(at(count * 10));
      expect(clock.due(at(count * 10), false)).toMatchObject({ type: 'prompt', count });
      clock.onAgentSpoke();
    }
  });

  it('is not hung up on by an agent that never asked, which ends the call as the failure it is', () => {
    const { clock, at } = start();
    for (const s of [10, 20, 30]) expect(clock.due(at(s), false)).toMatchObject({ type: 'prompt', count: 1 });
    expect(clock.due(at(40), false)).toMatchObject({ type: 'end', reason: 'upstream_failed' });
  });

  it('has been asked once, however often it was tried and however long it was spoken', () => {
    const { clock, at } = start();
    clock.onAgentSpoke();
    for (const s of [10, 20]) expect(clock.due(at(s), false)).toMatchObject({ count: 1 });
    for (let piece = 0; piece < 5; piece++) clock.onAgentSpoke();
    expect(clock.due(at(30), false)).toMatchObject({ count: 2 });
    clock.onAgentSpoke();
    expect(clock.due(at(40), false)).toMatchObject({ type: 'end', reason: 'agent_hangup' });
  });

  it('is given time from the end of what is played to it', () => {
    const { clock, at } = start();
    expect(clock.due(at(10), true)).toBeUndefined();
    expect(clock.due(at(15), true)).toBeUndefined();
    expect(clock.due(at(24), false)).toBeUndefined();
    expect(clock.due(at(25), false)).toMatchObject({ type: 'prompt' });
  });

  it('is not silent while speaking, and has answered by it', () => {
    const { clock, at } = start();
    expect(clock.due(at(10), false)).toMatchObject({ count: 1 });
    clock.onSpeech(true, at(12));
    expect(clock.due(at(40), false)).toBeUndefined();
    clock.onSpeech(false, at(41));
    expect(clock.due(at(50), false)).toBeUndefined();
    expect(clock.due(at(51), false)).toMatchObject({ type: 'prompt', count: 1 });
  });

  it('answers with a key as well', () => {
    const { clock, at } = start();
    clock.due(at(10), false);
    clock.onCallerActive(at(15));
    expect(clock.due(at(24), false)).toBeUndefined();
    expect(clock.due(at(25), false)).toMatchObject({ count: 1 });
  });

  it('is not expected to speak while the agent thinks, which is no answer of theirs', () => {
    const { clock, at } = start();
    expect(clock.due(at(10), false)).toMatchObject({ count: 1 });
    clock.onAgentSpoke();
    clock.onAgentActive(at(15));
    clock.onAgentActive(at(14));
    expect(clock.due(at(24), false)).toBeUndefined();
    expect(clock.due(at(25), false)).toMatchObject({ count: 2 });
  });

  it('is not asked while nobody would hear the answer', () => {
    const { clock, at } = start();
    clock.onSpeech(true, at(5));
    clock.onUpstream(false, at(6));
    expect(clock.due(at(60), false)).toBeUndefined();
    clock.onUpstream(true, at(61));
    // The speech that went on when the connection was lost is not waited for.
    expect(clock.due(at(70), false)).toBeUndefined();
    expect(clock.due(at(71), false)).toMatchObject({ type: 'prompt' });
  });
});
