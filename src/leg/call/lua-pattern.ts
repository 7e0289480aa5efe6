import { LegError } from '../errors.ts';

/**
 * Patterns as Lua has them (its manual, section 6.4.1): what `ai_transfer_allow` is written in, so that one value means the
 * same to the script and to the leg. Of ASCII text; captures count as what is in them.
 */
export function matchesLuaPattern(text: string, pattern: string): boolean {
  const isAnchored = pattern.startsWith('^');
  const matcher = new Matcher(text, pattern);
  for (let at = 0; at <= text.length; at++) {
    if (matcher.match(at, isAnchored ? 1 : 0) !== undefined) return true;
    if (isAnchored) return false;
  }
  return false;
}

/** Steps until a pattern is given up: one that tries everything needs more. */
const MAX_STEPS = 100_000;

const CLASSES: Readonly<Record<string, RegExp>> = {
  a: /[A-Za-z]/,
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is the class
  c: /[\u0000-\u001f\u007f]/,
  d: /[0-9]/,
  g: /[!-~]/,
  l: /[a-z]/,
  p: /[!-/:-@[-`{-~]/,
  s: /[\t-\r ]/,
  u: /[A-Z]/,
  w: /[A-Za-z0-9]/,
  x: /[A-Fa-f0-9]/,
};

function isInClass(char: string, name: string): boolean {
  const known = CLASSES[name.toLowerCase()];
  if (known === undefined) return char === name;
  return known.test(char) === (name === name.toLowerCase());
}

class Matcher {
  readonly #text: string;
  readonly #pattern: string;
  #steps = 0;
  /** Where open captures begin and closed ones end. */
  readonly #captures: { start: number; end: number | undefined }[] = [];

  constructor(text: string, pattern: string) {
    this.#text = text;
    this.#pattern = pattern;
  }

  /** Where a match of the pattern's rest from `p` ends in the text from `at`; undefined: there is none. */
  match(at: number, p: number): number | undefined {
    this.#steps += 1;
    if (this.#steps > MAX_STEPS) throw bad('it takes too long');
    const text = this.#text;
    const pattern = this.#pattern;
    if (p >= pattern.length) {
      if (this.#captures.some(({ end }) => end === undefined)) throw bad('it opens what it does not close');
      return at;
    }
    const char = pattern[p]!;
    if (char === '(') return this.#open(at, p + 1);
    if (char === ')') return this.#close(at, p + 1);
    if (char === '$' && p + 1 === pattern.length) return at === text.length ? at : undefined;
    if (char === '%' && pattern[p + 1] === 'b') return this.#balanced(at, p + 2);
    if (char === '%' && pattern[p + 1] === 'f') return this.#frontier(at, p + 2);
    if (char === '%' && /[0-9]/.test(pattern[p + 1] ?? '')) return this.#again(at, p);
    const end = this.#endOfSingle(p);
    const suffix = pattern[end];
    if (suffix === '?') {
      const found = this.#isSingle(at, p, end) ? this.match(at + 1, end + 1) : undefined;
      return found ?? this.match(at, end + 1);
    }
    if (suffix === '+') return this.#isSingle(at, p, end) ? this.#most(at + 1, p, end) : undefined;
    if (suffix === '*') return this.#most(at, p, end);
    if (suffix === '-') return this.#least(at, p, end);
    return this.#isSingle(at, p, end) ? this.match(at + 1, end) : undefined;
  }

  #most(at: number, p: number, end: number): number | undefined {
    let count = 0;
    while (this.#isSingle(at + count, p, end)) count += 1;
    for (; count >= 0; count--) {
      const found = this.match(at + count, end + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #least(start: number, p: number, end: number): number | undefined {
    for (let at = start; ; at++) {
      const found = this.match(at, end + 1);
      if (found !== undefined) return found;
      if (!this.#isSingle(at, p, end)) return undefined;
    }
  }

  #open(at: number, p: number): number | undefined {
    const isPosition = this.#pattern[p] === ')';
    this.#captures.push({ start: at, end: isPosition ? at : undefined });
    const found = this.match(at, isPosition ? p + 1 : p);
    if (found === undefined) this.#captures.pop();
    return found;
  }

  #close(at: number, p: number): number | undefined {
    const capture = this.#captures.findLast(({ end }) => end === undefined);
    if (!capture) throw bad('it closes what is not open');
    capture.end = at;
    const found = this.match(at, p);
    if (found === undefined) capture.end = undefined;
    return found;
  }

  #again(at: number, p: number): number | undefined {
    const capture = this.#captures[Number(this.#pattern[p + 1]) - 1];
    if (capture?.end === undefined) throw bad('it names a capture that is not there');
    const part = this.#text.slice(capture.start, capture.end);
    return this.#text.startsWith(part, at) ? this.match(at + part.length, p + 2) : undefined;
  }

  #balanced(at: number, p: number): number | undefined {
    const [opens, closes] = [this.#pattern[p], this.#pattern[p + 1]];
    if (closes === undefined) throw bad('%b needs two characters');
    if (this.#text[at] !== opens) return undefined;
    let depth = 1;
    for (let i = at + 1; i < this.#text.length; i++) {
      if (this.#text[i] === closes) depth -= 1;
      else if (this.#text[i] === opens) depth += 1;
      if (depth === 0) return this.match(i + 1, p + 2);
    }
    return undefined;
  }

  #frontier(at: number, p: number): number | undefined {
    if (this.#pattern[p] !== '[') throw bad('%f needs a set');
    const end = this.#endOfSingle(p);
    const before = at === 0 ? '\0' : this.#text[at - 1]!;
    const after = this.#text[at] ?? '\0';
    return !this.#isInSet(before, p, end) && this.#isInSet(after, p, end) ? this.match(at, end) : undefined;
  }

  #endOfSingle(p: number): number {
    const pattern = this.#pattern;
    if (pattern[p] === '%') {
      if (p + 1 >= pattern.length) throw bad('it ends with %');
      return p + 2;
    }
    if (pattern[p] !== '[') return p + 1;
    let end = p + 1;
    if (pattern[end] === '^') end += 1;
    do {
      if (end >= pattern.length) throw bad('a set has no end');
      end += pattern[end] === '%' ? 2 : 1;
    } while (pattern[end] !== ']');
    return end + 1;
  }

  #isSingle(at: number, p: number, end: number): boolean {
    const char = this.#text[at];
    if (char === undefined) return false;
    const head = this.#pattern[p];
    if (head === '.') return true;
    if (head === '%') return isInClass(char, this.#pattern[p + 1]!);
    return head === '[' ? this.#isInSet(char, p, end) : char === head;
  }

  /** `end` is behind the set's bracket. */
  #isInSet(char: string, start: number, end: number): boolean {
    const pattern = this.#pattern;
    const isNegated = pattern[start + 1] === '^';
    for (let p = start + (isNegated ? 2 : 1); p < end - 1; ) {
      if (pattern[p] === '%') {
        if (isInClass(char, pattern[p + 1]!)) return !isNegated;
        p += 2;
      } else if (pattern[p + 1] === '-' && p + 2 < end - 1) {
        if (pattern[p]! <= char && char <= pattern[p + 2]!) return !isNegated;
        p += 3;
      } else {
        if (pattern[p] === char) return !isNegated;
        p += 1;
      }
    }
    return isNegated;
  }
}

function bad(why: string): LegError {
  return new LegError('bad_variable', `ai_transfer_allow is a pattern that cannot be used: ${why}`);
}
