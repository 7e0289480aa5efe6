import { replacePlaceholders } from '../profiles/placeholders.ts';
import { contextValue, type WebhookContext } from './url.ts';

/** Environment variables that headers may name start with this; nothing else of the environment can be sent. */
export const WEBHOOK_VARIABLE_PREFIX = 'WEBHOOK_';

const VARIABLE = /\$\{([^}]*)\}/g;
const ALLOWED_VARIABLE = /^WEBHOOK_[A-Za-z0-9_]+$/;
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
/** Visible ASCII and spaces: what a header may carry whatever server reads it. */
const NOT_IN_HEADERS = /[^\x20-\x7e]/g;
/** Those that HTTP itself needs; a profile that set them would break or smuggle requests. */
const RESERVED = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

export type WebhookHeaders = Readonly<Record<string, string>>;

/** What is wrong with a tool's headers, as the end of a sentence; undefined when nothing is. */
export function headersProblem(headers: WebhookHeaders): string | undefined {
  for (const [name, value] of Object.entries(headers)) {
    if (!HEADER_NAME.test(name)) return `has "${name}", which is no header name`;
    if (RESERVED.has(name.toLowerCase())) return `has "${name}", which is not for a profile to set`;
    if (value.search(NOT_IN_HEADERS) !== -1)
      return `has a value of "${name}" with characters that headers cannot carry`;
  }
  const foreign = headerVariables(headers).find((name) => !ALLOWED_VARIABLE.test(name));
  if (foreign !== undefined) return `names \${${foreign}}: only \${${WEBHOOK_VARIABLE_PREFIX}…} variables may be sent`;
  return undefined;
}

/** Names of the environment variables that headers take values from. */
export function headerVariables(headers: WebhookHeaders): string[] {
  return Object.values(headers).flatMap((value) => Array.from(value.matchAll(VARIABLE), (match) => match[1] as string));
}

/**
 * A tool's headers with `${WEBHOOK_NAME}` taken from the environment and `{{callId}}`-like placeholders from the call.
 * Arguments are not filled in: what the caller talked the model into has no place in a header.
 * @throws {Error} when a variable is not set or not allowed
 */
export function fillHeaders(
  headers: WebhookHeaders,
  context: WebhookContext,
  environment: NodeJS.ProcessEnv,
): Record<string, string> {
  const filled: Record<string, string> = {};
  for (const [name, template] of Object.entries(headers)) {
    const withValues = replacePlaceholders(template, (placeholder) =>
      // A value of the call must not name a variable.
      (contextValue(context, placeholder) ?? '').replace(/[${}]/g, ''),
    );
    filled[name.toLowerCase()] = withValues
      .replace(VARIABLE, (_whole, variable: string) => {
        const value = ALLOWED_VARIABLE.test(variable) ? environment[variable] : undefined;
        if (!value) throw new Error(`environment variable ${variable} is not set`);
        return value;
      })
      .replace(NOT_IN_HEADERS, '');
  }
  return filled;
}
