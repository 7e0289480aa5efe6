import { beforeEach, expect, it } from 'vitest';
import { OwedAnswer } from '../../src/realtime/owed-answer.ts';

let answer: OwedAnswer;
beforeEach(() => {
  answer = new OwedAnswer();
  answer.owe();
});

it('is owed until the response that began first behind the turn is over', () => {
  answer.started('r1');
  answer.started('r2');
  answer.given('r2');
  expect(answer.isOwed).toBe(true);
  answer.given('r1');
  expect(answer.isOwed).toBe(false);
});

it('is not given by a response from before the turn', () => {
  answer.started('r1');
  answer.owe();
  answer.given('r1');
  expect(answer.isOwed).toBe(true);
});

it('may be given by another response when one came to nothing', () => {
  answer.started('r1');
  answer.failed('r1');
  answer.started('r2');
  answer.given('r2');
  expect(answer.isOwed).toBe(false);
});

it('is given by the next connection where the lost one did not', () => {
  answer.started('r1');
  answer.connectionLeft(() => false);
  expect(answer.isOwed).toBe(true);
  answer.started('r2');
  answer.given('r2');
  expect(answer.isOwed).toBe(false);
});

it('is not owed any more when all of it came', () => {
  answer.started('r1');
  answer.connectionLeft((responseId) => responseId === 'r1');
  expect(answer.isOwed).toBe(false);
});
