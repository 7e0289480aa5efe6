import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Intake } from '../../../src/call/duplex/intake.ts';

const PCM = { encoding: 'pcm16', sampleRateHz: 16_000 } as const;
const MULAW = { encoding: 'pcmu', sampleRateHz: 8000 } as const;

it('joins bytes cut anywhere into whole samples, in order and without loss', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ bytes: fc.uint8Array({ maxLength: 50 }), take: fc.boolean() })), (steps) => {
      const intake = new Intake(PCM);
      const taken: Uint8Array[] = [];
      const take = () => {
        const chunk = intake.take();
        if (!chunk) return;
        expect(chunk.bytes.length % 2).toBe(0);
        expect(chunk.bytes.byteOffset).toBe(0);
        taken.push(chunk.bytes);
      };
      for (const { bytes, take: takes } of steps) {
        intake.push(bytes, 0);
        if (takes) take();
      }
      take();
      const sent = Buffer.concat(steps.map(({ bytes }) => bytes));
      expect(Buffer.concat(taken)).toEqual(sent.subarray(0, sent.length - (sent.length % 2)));
      expect(intake.totalMs).toBe(sent.length / 32);
    }),
  );
});

it('remembers when the first byte of a chunk came', () => {
  const intake = new Intake(MULAW);
  intake.push(new Uint8Array(80), 1000);
  intake.push(new Uint8Array(80), 1020);
  expect(intake.take()).toMatchObject({ receivedAtMs: 1000 });
  expect(intake.take()).toBeUndefined();
  intake.push(new Uint8Array(80), 1040);
  expect(intake.take()).toMatchObject({ receivedAtMs: 1040 });
});

it('tells a client that sends faster than twice real time for five seconds', () => {
  const intake = new Intake(MULAW);
  const inTime: boolean[] = [];
  for (let atMs = 0; atMs < 20_000; atMs += 100) inTime.push(intake.push(new Uint8Array(190 * 8), atMs));
  expect(inTime.every(Boolean)).toBe(true);
  const tooFast = new Intake(MULAW);
  let cutAtMs: number | undefined;
  for (let atMs = 0; atMs < 20_000 && cutAtMs === undefined; atMs += 100) {
    if (!tooFast.push(new Uint8Array(220 * 8), atMs)) cutAtMs = atMs;
  }
  expect(cutAtMs).toBeLessThanOrEqual(5_000);
});

it('lets a client catch up after its network stood still', () => {
  const intake = new Intake(MULAW);
  expect(intake.push(new Uint8Array(100 * 8), 0)).toBe(true);
  expect(intake.push(new Uint8Array(8_000 * 8), 8_000)).toBe(true);
});

it('is full with more than a second that nobody takes', () => {
  const intake = new Intake(MULAW);
  intake.push(new Uint8Array(1_001 * 8), 0);
  expect(intake.isFull).toBe(true);
  intake.take();
  expect(intake.isFull).toBe(false);
});
