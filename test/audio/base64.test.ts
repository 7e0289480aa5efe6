import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeBase64, encodeBase64 } from '../../src/audio/base64.ts';
import { InvalidAudioError } from '../../src/audio/errors.ts';

/** What is accepted, by definition. */
const GRAMMAR = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

function faultOf(text: string): string {
  try {
    decodeBase64(text);
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidAudioError);
    expect((error as InvalidAudioError).reason).toBe('not_base64');
    return (error as InvalidAudioError).message;
  }
  throw new Error(`${JSON.stringify(text)} was accepted`);
}

describe('decoding', () => {
  test('known vectors (RFC 4648, section 10), with and without padding', () => {
    const vectors = { '': '', 'Zg==': 'f', 'Zm8=': 'fo', Zm9v: 'foo', 'Zm9vYg==': 'foob', 'Zm9vYmE=': 'fooba' };
    for (const [text, bytes] of Object.entries(vectors)) {
      expect(decodeBase64(text)).toEqual(new Uint8Array(Buffer.from(bytes)));
      expect(decodeBase64(text.replaceAll('=', ''))).toEqual(new Uint8Array(Buffer.from(bytes)));
    }
  });

  test('what was encoded comes back, however long and however wrapped', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 20_000 }),
        fc.constantFrom('', '\n', '\r\n', '\r', '\n\n'),
        (bytes, wrap) => {
          const text = encodeBase64(bytes).replace(/.{76}/g, `$&${wrap}`) + wrap;
          expect(Buffer.compare(decodeBase64(text), bytes)).toBe(0);
        },
      ),
    );
  });

  test('line breaks count for nothing, even between padding characters', () => {
    expect(decodeBase64('\r\n\nZg\n=\r=\n')).toEqual(Uint8Array.of(0x66));
    expect(decodeBase64('\n\r\n')).toEqual(new Uint8Array(0));
  });

  test('a plus sign that became a blank is found wherever it stands and however the text is wrapped', () => {
    // Every fourth byte makes a "+" in some place of its group of four characters.
    const samples = fc
      .uint8Array({ minLength: 60, maxLength: 600 })
      .map((bytes) => bytes.map((b, i) => (i % 4 ? b : 0xfb)));
    fc.assert(
      fc.property(samples, fc.constantFrom('', '\n', '\r\n'), fc.integer({ min: 1, max: 76 }), (bytes, wrap, width) => {
        const text = encodeBase64(bytes).replace(new RegExp(`.{${width}}`, 'g'), `$&${wrap}`);
        fc.pre(text.includes('+'));
        expect(Buffer.compare(decodeBase64(text), bytes)).toBe(0);
        const at = text.indexOf('+');
        const fault = `audio is not base64: blank at offset ${at}, perhaps a "+" that was decoded as a form's`;
        expect(faultOf(text.replace('+', ' '))).toBe(fault);
        expect(faultOf(text.replaceAll('+', ' '))).toBe(fault);
      }),
      { numRuns: 2_000 },
    );
  });

  test('accepts what the grammar accepts and nothing else', () => {
    // Characters that the native decoder skips, takes for others (U+0141 has the low byte of "A"), or stops at.
    const unit = fc.constantFrom(...'AzM9+/AAAABBBB==-_ \n\r\t\f\v\0.!é\u0141\u2028\u{1f600}');
    const accepted = { yes: 0, no: 0 };
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 16 }), fc.integer({ min: 0, max: 3 }), (text, padding) => {
        const padded = text + '='.repeat(padding);
        const compact = padded.replace(/[\r\n]/g, '');
        if (GRAMMAR.test(compact)) {
          accepted.yes++;
          expect(encodeBase64(decodeBase64(padded)).length).toBe(Math.ceil(compact.replaceAll('=', '').length / 4) * 4);
        } else {
          accepted.no++;
          faultOf(padded);
        }
      }),
      { numRuns: 20_000 },
    );
    expect(accepted.yes).toBeGreaterThan(500);
    expect(accepted.no).toBeGreaterThan(500);
  });

  test('one stray character anywhere in a chunk is found and named', () => {
    const text = encodeBase64(new Uint8Array(3200).map((_, i) => i * 7));
    fc.assert(
      fc.property(fc.nat(text.length - 3), fc.constantFrom(...'-_!.\0\té\u0141 '), (at, stray) => {
        const fault = faultOf(text.slice(0, at) + stray + text.slice(at + 1));
        expect(fault).toContain(`at offset ${at}`);
        const inserted = faultOf(text.slice(0, at) + stray + text.slice(at));
        expect(inserted).toContain(`at offset ${at}`);
      }),
    );
  });

  test('says what is wrong', () => {
    expect(faultOf('AAAAAAAAAAAAAAAAA!AA')).toBe('audio is not base64: character "!" at offset 17');
    expect(faultOf('AA\n-A')).toBe('audio is not base64: character "-" at offset 3');
    expect(faultOf('AA\0A')).toBe('audio is not base64: character U+0000 at offset 2');
    expect(faultOf('AA😀A')).toBe('audio is not base64: character U+1F600 at offset 2');
    expect(faultOf('AA\tA')).toBe('audio is not base64: character U+0009 at offset 2');
    expect(faultOf('AA A')).toBe('audio is not base64: blank at offset 2, perhaps a "+" that was decoded as a form\'s');
    expect(faultOf('AA=A')).toBe('audio is not base64: padding character "=" at offset 2 is not at the end');
    expect(faultOf('AAAAA')).toBe('audio is not base64: 5 characters leave a last group of a single character');
    expect(faultOf('AA=')).toBe('audio is not base64: 2 characters cannot be followed by 1 padding character "="');
    expect(faultOf('AAAA==')).toBe('audio is not base64: 4 characters cannot be followed by 2 padding characters "="');
  });

  test('unused low bits of the last character are ignored', () => {
    expect(decodeBase64('Zh==')).toEqual(decodeBase64('Zg=='));
  });

  test('the result is a plain array, whose slice() copies', () => {
    const bytes = decodeBase64('Zm9v');
    expect(Buffer.isBuffer(bytes)).toBe(false);
    const copy = bytes.slice();
    copy[0] = 0;
    expect(bytes[0]).toBe(0x66);
  });
});

test('encoding a view encodes only the view', () => {
  const whole = Uint8Array.of(1, 2, 3, 4, 5, 6);
  expect(encodeBase64(whole.subarray(1, 4))).toBe('AgME');
  expect(encodeBase64(new Uint8Array(0))).toBe('');
});
