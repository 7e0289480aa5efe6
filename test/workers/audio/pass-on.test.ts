import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createFramerState } from '../../../src/audio/frames.ts';
import { downlinkJob } from '../../../src/workers/audio/downlink-job.ts';
import type { AudioState, DownlinkOutput, UplinkInput } from '../../../src/workers/audio/jobs.ts';
import { canPassOn, passDown, passUp } from '../../../src/workers/audio/pass-on.ts';
import { uplinkJob } from '../../../src/workers/audio/uplink-job.ts';

const pcmu = { encoding: 'pcmu', sampleRateHz: 8_000 } as const;
const pcm16 = { encoding: 'pcm16', sampleRateHz: 24_000 } as const;
const up = { kind: 'up', call: pcmu, upstream: pcmu, measureVoice: false } as const;
const down = { kind: 'down', call: pcmu, upstream: pcmu } as const;

it('is for G.711 that stays what it is', () => {
  expect(canPassOn(up)).toBe(true);
  expect(canPassOn(down)).toBe(true);
  expect(canPassOn({ ...up, measureVoice: true })).toBe(false);
  expect(canPassOn({ ...up, upstream: { ...pcmu, encoding: 'pcma' } })).toBe(false);
  expect(canPassOn({ ...up, call: pcm16, upstream: pcm16 })).toBe(false);
});

it('makes of a chunk what the pool makes of it, and refuses what the pool refuses', () => {
  const chunks: UplinkInput[] = [
    { data: Buffer.alloc(800, 0x55).toString('base64') },
    { data: `${Buffer.alloc(57, 1).toString('base64')}\n${Buffer.alloc(3, 2).toString('base64')}` },
    { data: new Uint8Array(320), declared: { kind: 'pcmu' } },
    { data: new Uint8Array(8_001).fill(7) },
    { data: '' },
    { data: 'no base64!' },
    { data: new Uint8Array(320), declared: { kind: 'pcma' } },
    { data: new Uint8Array(320), declared: { kind: 'wav' } },
    { data: Buffer.from('RIFF....WAVEfmt ').toString('base64') },
  ];
  for (const input of chunks) {
    expect(passUp(input, up)).toEqual(uplinkJob({ ...up, state: undefined, inputs: [input] }).outputs[0]);
  }
  expect(passUp(chunks[1]!, up)).toMatchObject({ ok: true, audioMs: 7.5 });
});

it('makes of a reply what the pool makes of it, however it is cut', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 0, maxLength: 3_000 }), { maxLength: 8 }), (pieces) => {
      const inputs = [...pieces.map((piece) => Buffer.from(piece).toString('base64')), null];
      const outputs: (DownlinkOutput | undefined)[] = [];
      let state: AudioState | undefined;
      for (const input of inputs) {
        const passed = passDown(input, down, state)!;
        outputs.push(passed.output);
        state = passed.state;
      }
      expect(outputs).toEqual(downlinkJob({ ...down, state: undefined, inputs }).outputs);
      expect(state?.framer).toEqual(createFramerState());
    }),
  );
});

it('leaves what is long to the pool', () => {
  expect(passUp({ data: new Uint8Array(100_000) }, up)).toBeUndefined();
  expect(passDown('A'.repeat(100_000), down, undefined)).toBeUndefined();
});
