import { describe, expect, test } from 'vitest';
import { aLawFromPcm16, g711FromBytes, muLawFromPcm16, pcm16FromALaw, pcm16FromMuLaw } from '../../src/audio/g711.ts';
import { writeWav } from '../../src/audio/wav.ts';
import { sinadDb } from '../support/sinad.ts';
import { tone } from '../support/tones.ts';

const EVERY_CODE = Uint8Array.from({ length: 256 }, (_, code) => code);
const EVERY_SAMPLE = Int16Array.from({ length: 65536 }, (_, i) => i - 32768);

const laws = [
  { name: 'mu-law', encode: muLawFromPcm16, decode: pcm16FromMuLaw },
  { name: 'A-law', encode: aLawFromPcm16, decode: pcm16FromALaw },
];

describe.each(laws)('$name', ({ name, encode, decode }) => {
  test('every code decodes to a value that encodes to it', () => {
    const expected = EVERY_CODE.slice();
    // Mu-law has two zeros; the positive one is sent.
    if (name === 'mu-law') expected[0x7f] = 0xff;
    expect(encode(decode(EVERY_CODE))).toEqual(expected);
  });

  test('a larger sample never decodes to a smaller one', () => {
    const heard = decode(encode(EVERY_SAMPLE));
    for (let i = 1; i < heard.length; i++) expect(heard[i]! >= heard[i - 1]!).toBe(true);
    expect(new Set(heard).size).toBe(name === 'mu-law' ? 255 : 256);
  });

  test('positive and negative samples are treated alike', () => {
    const heard = decode(encode(EVERY_SAMPLE));
    for (let sample = 0; sample <= 32767; sample++) {
      // The mirror image of sample s is ~s: both scales have as many steps below zero as above.
      expect(heard[32768 + sample]! + heard[32767 - sample]!).toBe(0);
    }
  });

  test('speech levels keep 37 dB of signal to distortion', () => {
    for (const amplitude of [3000, 10_000, 30_000]) {
      const heard = decode(encode(tone(1013, 8000, 8000, amplitude)));
      expect(sinadDb(heard, 8000, 1013)).toBeGreaterThan(37);
    }
  });

  test('no samples make no bytes', () => {
    expect(encode(new Int16Array(0))).toHaveLength(0);
    expect(decode(new Uint8Array(0))).toHaveLength(0);
  });
});

/** Decision values and codes from the tables of G.711, in units of the law's own scale (14 and 13 bits). */
test('mu-law decides where table 2a says', () => {
  const scale = 4;
  const decisions: ReadonlyArray<[value: number, codeFrom: number]> = [
    [7903, 0x80],
    [4319, 0x8e],
    [4063, 0x8f],
    [2143, 0x9e],
    [2015, 0x9f],
    [1055, 0xae],
    [991, 0xaf],
    [511, 0xbe],
    [479, 0xbf],
    [239, 0xce],
    [223, 0xcf],
    [103, 0xde],
    [95, 0xdf],
    [35, 0xee],
    [31, 0xef],
    [3, 0xfd],
    [1, 0xfe],
    [0, 0xff],
  ];
  for (const [value, code] of decisions) {
    expect(muLawFromPcm16(Int16Array.of(value * scale))[0]).toBe(code);
    if (value > 0) expect(muLawFromPcm16(Int16Array.of(value * scale - 1))[0]).toBe(code + 1);
    expect(muLawFromPcm16(Int16Array.of(~(value * scale)))[0]).toBe(code & 0x7f);
  }
  expect([...pcm16FromMuLaw(Uint8Array.of(0x80, 0x8f, 0x9f, 0xaf, 0xbf, 0xcf, 0xdf, 0xef, 0xfe, 0xff))]).toEqual(
    [8031, 4191, 2079, 1023, 495, 231, 99, 33, 2, 0].map((value) => value * scale),
  );
  expect([...pcm16FromMuLaw(Uint8Array.of(0x00, 0x7e, 0x7f))]).toEqual([-32124, -8, 0]);
});

test('A-law decides where table 1a says', () => {
  const scale = 16;
  const decisions: ReadonlyArray<[value: number, code: number]> = [
    [1984, 0b1111_1111],
    [1024, 0b1111_0000],
    [512, 0b1110_0000],
    [256, 0b1101_0000],
    [128, 0b1100_0000],
    [64, 0b1011_0000],
    [32, 0b1010_0000],
    [31, 0b1001_1111],
    [16, 0b1001_0000],
    [1, 0b1000_0001],
    [0, 0b1000_0000],
  ];
  for (const [value, code] of decisions) {
    expect(aLawFromPcm16(Int16Array.of(value * scale))[0]).toBe(code ^ 0x55);
    if (value > 0) expect(aLawFromPcm16(Int16Array.of(value * scale - 1))[0]).toBe((code - 1) ^ 0x55);
    expect(aLawFromPcm16(Int16Array.of(~(value * scale)))[0]).toBe((code & 0x7f) ^ 0x55);
  }
  expect([...pcm16FromALaw(Uint8Array.of(0xaa, 0x2a, 0xd5, 0x55))]).toEqual([32256, -32256, 8, -8]);
});

test('raw bytes from a client pass unless there are none or they are a WAV file', () => {
  const bytes = Uint8Array.of(0xff, 0x7f, 0xd5);
  expect(g711FromBytes(bytes, 'pcmu')).toBe(bytes);
  expect(() => g711FromBytes(new Uint8Array(0), 'pcma')).toThrow(expect.objectContaining({ reason: 'empty' }));
  expect(() => g711FromBytes(writeWav(new Int16Array(80), 8000), 'pcma')).toThrow(
    expect.objectContaining({
      reason: 'wav_on_g711',
      message: 'audio is a WAV file on a pcma call; send raw pcma bytes',
    }),
  );
});
