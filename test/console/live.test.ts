import { expect, it } from 'vitest';
import type { LiveCall } from '../../console/api/types.ts';
import { lineOf, linesOf } from '../../console/call/lines.ts';
import { troubleOf } from '../../console/calls/trouble.ts';

const CALM = { lastTurnMs: 640, queuedAudioMs: 1_200, faultCount: 0 } as LiveCall;

it('says in words what is wrong with a call, the worst of it', () => {
  expect(troubleOf(CALM)).toBeUndefined();
  expect(troubleOf({ ...CALM, lastTurnMs: 2_340 })?.text).toBe('slow: answered in 2.3 s');
  const faulty = troubleOf({ ...CALM, lastTurnMs: 2_340, faultCount: 1, lastFault: 'upstream_lost' });
  expect(faulty?.text).toBe('connection to the AI lost');
  expect(faulty!.weight).toBeGreaterThan(troubleOf({ ...CALM, lastTurnMs: 2_340 })!.weight);
});

it('shows of a reply what was heard and what was cut', () => {
  const line = { id: 3, atMs: 100, role: 'agent' as const, text: 'We are open on Monday, and on Friday.' };
  expect(lineOf({ ...line, isFinal: false })).toMatchObject({ text: line.text, cut: '', isOpen: true });
  expect(lineOf({ ...line, heard: 'We are open on…', cut: true, isFinal: true })).toMatchObject({
    text: 'We are open on…',
    cut: 'Monday, and on Friday.',
    isOpen: false,
  });
  expect(lineOf({ ...line, heard: '', cut: true, isFinal: true })).toMatchObject({ text: '', cut: line.text });
});

it('reads the lines of a transcript', () => {
  expect(linesOf(['[User]: Hello?', '[AI]: [AI]: is what I am.'])).toMatchObject([
    { speaker: 'user', text: 'Hello?' },
    { speaker: 'agent', text: '[AI]: is what I am.' },
  ]);
});
