/** Reading what people write on command lines. Every function throws a `RangeError` whose message says what is allowed. */

const MS_OF: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000 };

/** Milliseconds of `250ms`, `60s`, `1.5m`, `30min`, `2h`; a bare number is seconds. */
export function parseDurationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|min|h)?$/.exec(text.trim());
  const value = match ? Number(match[1]) * MS_OF[match[2] ?? 's']! : Number.NaN;
  if (!(value > 0)) throw new RangeError(`"${text}" is not a duration: write 500ms, 60s, 30m or 2h`);
  return value;
}

/** Calls started a second, of `10/s`, `30/m` or a bare number (a second). */
export function parseRampPerSecond(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(?:\/(s|m))?$/.exec(text.trim());
  const value = match ? Number(match[1]) / (match[2] === 'm' ? 60 : 1) : Number.NaN;
  if (!(value > 0)) throw new RangeError(`"${text}" is not a rate: write 10/s or 30/m`);
  return value;
}

/** A whole number from `minimum` up. */
export function parseCount(text: string, minimum = 1): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < minimum) {
    throw new RangeError(`"${text}" is not a whole number from ${minimum} up`);
  }
  return value;
}

/** `dedicated`, or how many workers are shared. */
export function parseWorkers(text: string): 'dedicated' | number {
  return text === 'dedicated' ? text : parseCount(text);
}

/** Several values in one, separated by commas. */
export function parseList<Value>(text: string, parse: (part: string) => Value): Value[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(parse);
}
