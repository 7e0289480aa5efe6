import { RequestError } from './errors.ts';

/** Checks a value found at `path`; throws a {@link RequestError} with the service's code and wording. */
export type Rule = (value: unknown, path: string) => void;

/** A field of an object: `required` ones are missed by name. */
export interface Field {
  rule: Rule;
  required: boolean;
}

export type Fields = Record<string, Rule | Field>;

export function required(rule: Rule): Field {
  return { rule, required: true };
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'an integer' : 'a decimal number';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function invalidType(path: string, expected: string, value: unknown): RequestError {
  const message = `Invalid type for '${path}': expected ${expected}, but got ${describe(value)} instead.`;
  return new RequestError('invalid_type', message, path);
}

/** "'a', 'b', and 'c'", as the service lists what it supports. */
function list(values: readonly string[]): string {
  const quoted = values.map((value) => `'${value}'`);
  if (quoted.length < 3) return quoted.join(' and ');
  return `${quoted.slice(0, -1).join(', ')}, and ${quoted.at(-1)}`;
}

export function unsupportedValue(value: unknown, supported: readonly string[], path: string): RequestError {
  const message = `Invalid value: '${String(value)}'. Supported values are: ${list(supported)}.`;
  return new RequestError('invalid_value', message, path);
}

export const anything: Rule = () => {};

export const boolean: Rule = (value, path) => {
  if (typeof value !== 'boolean') throw invalidType(path, 'a boolean', value);
};

export function string(limits: { maxLength?: number; pattern?: RegExp } = {}): Rule {
  const { maxLength = Number.POSITIVE_INFINITY, pattern } = limits;
  return (value, path) => {
    if (typeof value !== 'string') throw invalidType(path, 'a string', value);
    if (value.length > maxLength) {
      const message = `Invalid '${path}': string too long. Expected a string with maximum length ${maxLength}, but got a string with length ${value.length} instead.`;
      throw new RequestError('string_above_max_length', message, path);
    }
    if (pattern && !pattern.test(value)) {
      const message = `Invalid '${path}': string does not match pattern. Expected a string that matches the pattern '${pattern.source}'.`;
      throw new RequestError('invalid_value', message, path);
    }
  };
}

function range(word: 'integer' | 'decimal', value: number, path: string, min: number, max: number): void {
  if (value < min) {
    const message = `Invalid '${path}': ${word} below minimum value. Expected a value >= ${min}, but got ${value} instead.`;
    throw new RequestError(`${word}_below_min_value`, message, path);
  }
  if (value > max) {
    const message = `Invalid '${path}': ${word} above maximum value. Expected a value <= ${max}, but got ${value} instead.`;
    throw new RequestError(`${word}_above_max_value`, message, path);
  }
}

export function integer(min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY): Rule {
  return (value, path) => {
    if (typeof value !== 'number' || !Number.isInteger(value)) throw invalidType(path, 'an integer', value);
    range('integer', value, path, min, max);
  };
}

export function decimal(min: number, max: number): Rule {
  return (value, path) => {
    if (typeof value !== 'number') throw invalidType(path, 'a decimal number', value);
    range('decimal', value, path, min, max);
  };
}

export function oneOf(...supported: readonly string[]): Rule {
  return (value, path) => {
    if (typeof value !== 'string') throw invalidType(path, `one of ${list(supported)}`, value);
    if (!supported.includes(value)) throw unsupportedValue(value, supported, path);
  };
}

export function nullable(rule: Rule): Rule {
  return (value, path) => {
    if (value !== null) rule(value, path);
  };
}

export function array(element: Rule, limits: { minItems?: number; maxItems?: number } = {}): Rule {
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY } = limits;
  return (value, path) => {
    if (!Array.isArray(value)) throw invalidType(path, 'an array', value);
    if (value.length < minItems) {
      const message = `Invalid '${path}': empty array. Expected an array with minimum length ${minItems}, but got an empty array instead.`;
      throw new RequestError('empty_array', message, path);
    }
    if (value.length > maxItems) {
      const message = `Invalid '${path}': array too long. Expected an array with maximum length ${maxItems}, but got an array with length ${value.length} instead.`;
      throw new RequestError('array_above_max_length', message, path);
    }
    for (const [index, entry] of value.entries()) element(entry, `${path}[${index}]`);
  };
}

function asRecord(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidType(path, 'an object', value);
  return value as Record<string, unknown>;
}

/** An object with these fields and no others. A path of `''` is the event itself. */
export function object(fields: Fields): Rule {
  const entries = Object.entries(fields).map(([name, field]) =>
    typeof field === 'function' ? { name, rule: field, required: false } : { name, ...field },
  );
  return (value, path) => {
    const record = asRecord(value, path);
    const at = (name: string) => (path === '' ? name : `${path}.${name}`);
    for (const name of Object.keys(record)) {
      if (!Object.hasOwn(fields, name)) {
        throw new RequestError('unknown_parameter', `Unknown parameter: '${at(name)}'.`, at(name));
      }
    }
    for (const entry of entries) {
      const field = record[entry.name];
      if (field !== undefined) entry.rule(field, at(entry.name));
      else if (entry.required) throw missing(at(entry.name));
    }
  };
}

export function missing(path: string): RequestError {
  return new RequestError('missing_required_parameter', `Missing required parameter: '${path}'.`, path);
}

/** An object whose shape depends on its field `tag` (which each shape need not list). */
export function tagged(tag: string, shapes: Record<string, Fields>): Rule {
  const supported = Object.keys(shapes);
  const rules = new Map(supported.map((kind) => [kind, object({ [tag]: anything, ...shapes[kind] })]));
  return (value, path) => {
    const record = asRecord(value, path);
    const kind = record[tag];
    if (kind === undefined) throw missing(`${path}.${tag}`);
    const rule = typeof kind === 'string' ? rules.get(kind) : undefined;
    if (!rule) throw unsupportedValue(kind, supported, `${path}.${tag}`);
    rule(value, path);
  };
}

/** Whichever rule suits the JSON type of the value. */
export function byType(rules: { string?: Rule; number?: Rule; object?: Rule }, expected: string): Rule {
  return (value, path) => {
    const rule = value === null ? undefined : rules[typeof value as keyof typeof rules];
    if (!rule) throw invalidType(path, expected, value);
    rule(value, path);
  };
}
