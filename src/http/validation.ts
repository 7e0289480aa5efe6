import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox';
import type { FastifySchemaValidationError } from 'fastify';
import type { FastifySchemaCompiler } from 'fastify/types/schema.js';
import type { TSchema } from 'typebox';
import { ApiError, quote } from './errors.ts';

const PARTS: Record<string, string> = {
  body: 'the body',
  params: 'the path',
  querystring: 'the query',
  headers: 'the headers',
};

/**
 * Compiles a route's schemas. Bodies are checked as they are; parameters, queries and headers are converted from text
 * first. A value that does not fit becomes one sentence that names the field, the value and what is allowed.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = (route) => {
  // Unencoded audio arrives as a Buffer; its schema is there for the OpenAPI document.
  if ((route.schema as { format?: string }).format === 'binary') return () => true;
  const validate = TypeBoxValidatorCompiler(route);
  const part = PARTS[route.httpPart ?? ''] ?? 'the request';
  return (value: unknown) => {
    const result = validate(value) as { value: unknown } | { error: FastifySchemaValidationError[] };
    return 'error' in result ? { error: toApiError(result.error, part, value) } : result;
  };
};

function toApiError(errors: FastifySchemaValidationError[], part: string, value: unknown): ApiError {
  const error = mostTelling(errors);
  const path = error.instancePath.split('/').slice(1);
  if (error.keyword === 'required') {
    const missing = (error.params as { requiredProperties?: string[] }).requiredProperties?.[0] ?? 'a field';
    return new ApiError('invalid_field', `${[...path, missing].join('.')} is missing from ${part}`);
  }
  const found = path.reduce<unknown>((inner, name) => (inner as Record<string, unknown> | null)?.[name], value);
  const name = path.length > 0 ? path.join('.') : part;
  return new ApiError('invalid_field', `${name} is ${quote(found)}, but ${allowed(error, errors)}`);
}

/** A `const` inside a union says less than the union; anything else is telling. */
function mostTelling(errors: FastifySchemaValidationError[]): FastifySchemaValidationError {
  return errors.find((error) => error.keyword !== 'const' && error.keyword !== 'anyOf') ?? errors[0]!;
}

function allowed(error: FastifySchemaValidationError, all: FastifySchemaValidationError[]): string {
  const params = error.params as { allowedValue?: unknown; limit?: number; comparison?: string; pattern?: unknown };
  switch (error.keyword) {
    case 'const':
      return `must be one of ${[
        ...new Set(
          all.filter((e) => e.keyword === 'const').map((e) => quote((e.params as typeof params).allowedValue)),
        ),
      ].join(', ')}`;
    case 'pattern':
      return `must match ${String(params.pattern)}`;
    default:
      return error.message ?? 'is not valid';
  }
}
