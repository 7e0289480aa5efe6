import { beforeEach, describe, expect, it } from 'vitest';
import { SpeechGate } from '../../src/realtime/speech-gate.ts';
import { VoiceGuard } from '../../src/realtime/voice-guard.ts';

describe('VoiceGuard', () => {
  it('is off at zero', () => {
    expect(new VoiceGuard(0).isOn).toBe(false);
    expect(new VoiceGuard(1).isOn).toBe(true);
  });

  it('adds up speech across short pauses, and starts anew after long ones', () => {
    const guard = new VoiceGuard(300);
    guard.add(100, 100);
    guard.add(100, 100);
    guard.add(200, 0);
    expect(guard.isSpeech).toBe(false);
    guard.add(100, 100);
    expect(guard.isSpeech).toBe(true);
    // The run is long enough until another begins, for the server reports speech late.
    guard.add(1000, 0);
    expect(guard.isSpeech).toBe(true);
    guard.add(100, 100);
    expect(guard.isSpeech).toBe(false);
  });

  it('forgets a run on demand', () => {
    const guard = new VoiceGuard(100);
    guard.add(100, 100);
    guard.reset();
    expect(guard.isSpeech).toBe(false);
  });
});

describe('SpeechGate', () => {
  let interruptions: number[];
  let gate: SpeechGate;
  beforeEach(() => {
    interruptions = [];
    gate = new SpeechGate(300, { onInterruption: (startedAtMs) => interruptions.push(startedAtMs) });
  });
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const start = (interrupts: boolean | Promise<boolean>) => gate.started('u1', 7, Promise.resolve(interrupts));

  it('lets speech interrupt once it is long enough', async () => {
    start(true);
    await settled();
    gate.heard(200, 200);
    expect(interruptions).toEqual([]);
    expect(gate.isDeciding).toBe(true);
    gate.heard(100, 100);
    expect(interruptions).toEqual([7]);
    gate.heard(500, 500);
    gate.stopped('u1');
    expect(interruptions).toEqual([7]);
    expect(await gate.verdictOf('u1')).toBe('turn');
  });

  it('counts what was said before the server reported it', async () => {
    gate.heard(300, 300);
    start(true);
    await settled();
    expect(interruptions).toEqual([7]);
  });

  it('ignores what stays short', async () => {
    start(true);
    gate.heard(100, 100);
    await settled();
    gate.stopped('u1');
    expect(await gate.verdictOf('u1')).toBe('ignored');
    expect(interruptions).toEqual([]);
    // Nor does it add to what comes next.
    gate.heard(200, 200);
    expect(gate.isDeciding).toBe(false);
  });

  it('takes speech that interrupts nothing for a turn, however short', async () => {
    start(false);
    gate.heard(20, 20);
    await settled();
    gate.stopped('u1');
    expect(await gate.verdictOf('u1')).toBe('turn');
    expect(interruptions).toEqual([]);
  });

  it('decides when the answer comes, if that is after the speech', async () => {
    const answer = Promise.withResolvers<boolean>();
    start(answer.promise);
    gate.heard(100, 100);
    gate.stopped('u1');
    const verdict = gate.verdictOf('u1');
    answer.resolve(true);
    expect(await verdict).toBe('ignored');
  });

  it('takes a gateway that cannot say for one that plays nothing', async () => {
    start(Promise.reject(new Error('gone')));
    expect(await gate.verdictOf('u1')).toBe('turn');
  });

  it('gives the benefit of the doubt to speech that it can no longer follow', async () => {
    start(true);
    await settled();
    gate.lost();
    expect(await gate.verdictOf('u1')).toBe('turn');
    expect(await gate.verdictOf('unknown')).toBe('turn');
  });

  it('measures nothing while it is off', () => {
    const off = new SpeechGate(0, { onInterruption: () => interruptions.push(0) });
    expect(off.isOn).toBe(false);
    off.heard(1000, 1000);
    expect(interruptions).toEqual([]);
  });
});
