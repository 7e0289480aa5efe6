import type { TLocalizedValidationError } from 'typebox/error';

const WHOLE = 'the profile';
const UNION_BRANCH = /^.*\/anyOf\/\d+/;
const WHOLE_BRANCH = /\/anyOf\/\d+$/;

/**
 * What a validator found, in one sentence that names the field: `speed must be <= 1.5`.
 * @param path of the value that was checked, in the profile; empty: it is the profile
 */
export function schemaProblem(errors: readonly TLocalizedValidationError[], path: string): string {
  const choices = errors.filter(isChoice);
  // The branches of a union whose constant (a discriminator, mostly) did not match say nothing about the others.
  const ruledOut = choices
    .map(({ schemaPath }) => UNION_BRANCH.exec(schemaPath)?.[0])
    .filter((path) => path !== undefined);
  const telling = errors.find(
    (error) =>
      !isChoice(error) &&
      error.keyword !== 'anyOf' &&
      error.keyword !== 'additionalProperties' &&
      !ruledOut.some((branch) => error.schemaPath === branch || error.schemaPath.startsWith(`${branch}/`)),
  );
  if (telling) {
    const problem = telling.keyword === 'boolean' ? 'is not a field that exists' : telling.message;
    return `${fieldName(telling, path)} ${problem}`;
  }
  const groups = Map.groupBy(choices, ({ instancePath }) => instancePath);
  const [group] = [...groups.values()].sort((a, b) => b.length - a.length);
  if (!group?.[0]) return `${path || WHOLE} is not valid`;
  const allowed = [...new Set(group.map(choiceOf))];
  return `${fieldName(group[0], path)} must be ${allowed.length > 1 ? 'one of ' : ''}${allowed.join(', ')}`;
}

/** An error that says what was expected in a branch of a union: a single value, or a type. */
function isChoice({ keyword, schemaPath }: TLocalizedValidationError): boolean {
  return keyword === 'const' || (keyword === 'type' && WHOLE_BRANCH.test(schemaPath));
}

function choiceOf({ keyword, params }: TLocalizedValidationError): string {
  if (keyword === 'const') return JSON.stringify((params as { allowedValue: unknown }).allowedValue);
  const { type } = params as { type: string | string[] };
  return [type].flat().join(' or ');
}

function fieldName({ instancePath }: TLocalizedValidationError, path: string): string {
  return (path + instancePath).replace(/^\//, '').replaceAll('/', '.') || WHOLE;
}
