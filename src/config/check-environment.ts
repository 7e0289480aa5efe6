import { envSchema } from 'env-schema';
import { type Environment, EnvironmentSchema, SECRETS, SUBJECTS, URLS } from './environment.ts';
import { maskUrl } from './masked-url.ts';

/** The configuration is unusable. `problems` has a sentence for each bad variable. */
export class ConfigError extends Error {
  readonly code = 'bad_config';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/**
 * Makes numbers of texts, sets the defaults, and checks each variable and what they are together.
 * @throws {ConfigError} with one sentence for every variable that is wrong
 */
export function checkEnvironment(data: Readonly<Record<string, string>>): Environment {
  const env = checkEach(data);
  const problems = SUBJECTS.flatMap((subject) => subject.problems?.(env) ?? []);
  for (const name of URLS) {
    const value = data[name];
    if (value !== undefined && !URL.canParse(value)) problems.push(`${name} is "${maskUrl(value)}", but must be a URL`);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return env;
}

interface AjvError {
  instancePath: string;
  keyword: string;
  message?: string;
}

function checkEach(data: Readonly<Record<string, string>>): Environment {
  try {
    return envSchema<Environment>({ schema: EnvironmentSchema, data, env: false });
  } catch (cause) {
    const errors = (cause as { errors?: AjvError[] }).errors;
    if (!errors) throw cause;
    const problems = new Map<string, string>();
    for (const error of errors) {
      const name = error.instancePath.slice(1);
      if (!problems.has(name))
        problems.set(name, `${name} ${shown(name, data[name])}, but must ${expected(name, error)}`);
    }
    throw new ConfigError([...problems.values()]);
  }
}

/** A value as the operator may see it in a log. */
function shown(name: string, value = ''): string {
  if (SECRETS.has(name)) return 'is set';
  return `is ${JSON.stringify(URLS.has(name) ? maskUrl(value) : value)}`;
}

/** What a variable must be or have. */
function expected(name: string, error: AjvError): string {
  for (const { mustBe } of SUBJECTS) {
    const words = mustBe?.[name];
    if (words !== undefined) return `be ${words}`;
  }
  const schema = EnvironmentSchema.properties[name as keyof Environment] as {
    anyOf?: { const: string }[];
    minimum?: number;
    maximum?: number;
    minLength?: number;
  };
  if (schema.anyOf) return `be one of ${schema.anyOf.map((option) => option.const).join(', ')}`;
  if (schema.minimum !== undefined) return `be a whole number from ${schema.minimum} to ${schema.maximum}`;
  if (schema.minLength !== undefined) return `have at least ${schema.minLength} characters`;
  return error.message?.replace(/^must /, '') ?? 'be valid';
}
