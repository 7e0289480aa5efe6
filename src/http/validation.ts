import type { FastifySchemaCompiler } from 'fastify/types/schema.js';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { ApiError } from './errors.ts';
import { quote } from './quote.ts';

const PARTS: Record<string, string> = {
  body: 'the body',
  params: 'the path',
  querystring: 'the query',
  headers: 'the headers',
};

/** A value that does not fit its schema. */
export class ValidationError extends ApiError {
  /** The field that is wrong, as `a.b`; empty when it is the whole part. */
  readonly field: string;
  constructor(field: string, message: string) {
    super('invalid_field', message);
    this.field = field;
  }
}

/**
 * Compiles a route's schemas. Bodies are checked as they are; in parameters, queries and headers, which are text,
 * numbers are read first: plain decimal ones only, so that `0x10`, `1e3` and nothing at all are refused. A value that
 * does not fit becomes one sentence that names the field, the value and what is allowed.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  // Unencoded audio arrives as a Buffer; its schema is there for the OpenAPI document.
  if ((schema as { format?: string }).format === 'binary') return () => true;
  const validator = Compile(schema);
  const part = PARTS[httpPart ?? ''] ?? 'the request';
  const readNumbers = httpPart === 'body' ? undefined : numberReader(schema);
  return (value: unknown) => {
    const converted = readNumbers ? readNumbers(value as Record<string, unknown>) : value;
    // Without a new value Fastify keeps the one it has, which for headers spares it a copy at each look.
    if (validator.Check(converted)) return converted === value ? true : { value: converted };
    return { error: toError(validator.Errors(converted) as unknown as SchemaError[], part, converted, schema) };
  };
};

const DECIMAL = /^-?\d{1,15}(\.\d{1,15})?$/;

/** Reads the fields of an object schema that are numbers, where their text is one; undefined when there are none. */
function numberReader(schema: TSchema): ((value: Record<string, unknown>) => Record<string, unknown>) | undefined {
  const { properties = {} } = schema as { properties?: Record<string, SchemaNode> };
  const names = Object.keys(properties).filter((name) => isNumeric(properties[name]!));
  if (names.length === 0) return undefined;
  return (value) => {
    let converted = value;
    for (const name of names) {
      const text = value[name];
      if (typeof text !== 'string' || !DECIMAL.test(text)) continue;
      if (converted === value) converted = { ...value };
      converted[name] = Number(text);
    }
    return converted;
  };
}

interface SchemaNode {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly properties?: Record<string, SchemaNode>;
  readonly items?: SchemaNode;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
}

function isNumeric({ type }: SchemaNode): boolean {
  return type === 'integer' || type === 'number';
}

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: { readonly requiredProperties?: readonly string[] };
  readonly message?: string;
}

function toError(errors: readonly SchemaError[], part: string, value: unknown, schema: TSchema): ValidationError {
  const error = errors[0]!;
  const path = error.instancePath.split('/').slice(1);
  if (error.keyword === 'required') {
    const field = [...path, error.params.requiredProperties?.[0] ?? 'a field'].join('.');
    return new ValidationError(field, `${field} is missing from ${part}`);
  }
  if (path.length === 0) {
    const found = value === undefined || value === null ? 'is missing' : `is ${quote(value)}`;
    return new ValidationError('', `${part} ${found}, but must be a JSON object`);
  }
  let found = value;
  let node: SchemaNode | undefined = schema as SchemaNode;
  for (const name of path) {
    found = (found as Record<string, unknown> | null)?.[name];
    node = node?.properties?.[name] ?? node?.items;
  }
  const field = path.join('.');
  return new ValidationError(field, `${field} is ${quote(found)}, but must be ${allowed(node, found, error)}`);
}

/** What a field may be, from its schema. */
function allowed(node: SchemaNode | undefined, found: unknown, error: SchemaError): string {
  if (node?.enum) return `one of ${node.enum.map(quote).join(', ')}`;
  switch (node?.type) {
    case 'integer':
    case 'number':
      return `a ${node.type === 'integer' ? 'whole number' : 'number'}${range(node)}`;
    case 'string':
      if (typeof found !== 'string') return 'a string';
      if (node.maxLength !== undefined && found.length > node.maxLength) {
        return `at most ${node.maxLength} characters long`;
      }
      return node.pattern === undefined ? 'a string' : `text that matches ${node.pattern}`;
    default:
      return (error.message ?? 'valid').replace(/^must be /, '');
  }
}

function range({ minimum, maximum }: SchemaNode): string {
  if (minimum === undefined) return maximum === undefined ? '' : ` up to ${maximum}`;
  return maximum === undefined ? ` from ${minimum}` : ` from ${minimum} to ${maximum}`;
}
