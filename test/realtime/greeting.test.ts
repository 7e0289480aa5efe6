import { expect, it } from 'vitest';
import { Greeting } from '../../src/realtime/greeting.ts';

const WORDS = { instructions: 'Say hello.', interruptible: false };

it('is asked for once', () => {
  const greeting = new Greeting(WORDS, true);
  expect(greeting.ask()).toBe('Say hello.');
  expect(greeting.ask()).toBe(undefined);
});

it.each([
  [undefined, true],
  [WORDS, false],
] as const)('is not asked for where there is none, or it was said', (options, isOpen) => {
  const greeting = new Greeting(options, isOpen);
  expect(greeting.ask()).toBe(undefined);
  expect(greeting.isProtected).toBe(false);
});

it('is protected before and while it is generated, and its audio to the end', () => {
  const greeting = new Greeting(WORDS, true);
  expect(greeting.isProtected).toBe(true);
  greeting.ask();
  greeting.started('r1');
  expect(greeting.isProtected).toBe(true);
  expect(greeting.end()).toBe(true);
  expect(greeting.isProtected).toBe(false);
  expect(greeting.end()).toBe(false);
  expect(greeting.protects('r1')).toBe(true);
  expect(greeting.protects('r2')).toBe(false);
});

it('that gives way protects nothing', () => {
  const greeting = new Greeting({ ...WORDS, interruptible: true }, true);
  greeting.started('r1');
  expect(greeting.isProtected).toBe(false);
  expect(greeting.protects('r1')).toBe(false);
});
