import { placeholderNames, replacePlaceholders } from '../profiles/placeholders.ts';

const MAX_VALUE_LENGTH = 1_000;
const MAX_URL_LENGTH = 8_000;
const TEMPLATE = /^(https?:\/\/[^/?#\\]+)([^?#]*)(\?[^#]*)?/i;
/** `.` and `..`, also as URL parsers understand them when they are encoded. */
const DOT_SEGMENT = /^(?:\.|%2e){1,2}$/i;

/** What a placeholder may name beside the tool's arguments. An argument of the same name is never used in its place. */
export interface WebhookContext {
  readonly callId: string;
  readonly tenantId: string;
  readonly aiAgentRef: string;
  readonly storeId?: string | undefined;
  readonly callerNumber?: string | undefined;
  readonly did?: string | undefined;
}

const CONTEXT_NAMES = ['callId', 'tenantId', 'aiAgentRef', 'storeId', 'callerNumber', 'did'] as const;

/** An argument that no URL can be made of. The message is for the model. */
export class WebhookArgumentError extends Error {
  readonly code = 'bad_webhook_argument';
  constructor(message: string) {
    super(message);
    this.name = 'WebhookArgumentError';
  }
}

/** A value of the call; undefined when the name is none of the call's. An unknown value is the empty string. */
export function contextValue(context: WebhookContext, name: string): string | undefined {
  const known = CONTEXT_NAMES.find((candidate) => candidate === name);
  return known === undefined ? undefined : (context[known] ?? '');
}

/** What is wrong with a URL template, as the end of a sentence; undefined when nothing is. */
export function urlTemplateProblem(template: string): string | undefined {
  const [whole, origin] = TEMPLATE.exec(template) ?? [];
  if (whole === undefined || origin === undefined) return 'must be an http:// or https:// URL';
  if (origin.includes('{{')) return 'has a placeholder in its host';
  const url = URL.parse(replacePlaceholders(template, () => 'x'));
  if (!url) return 'is not a URL';
  if (url.username !== '' || url.password !== '') return 'has a user name or password: use headers';
  return undefined;
}

/**
 * Fills a URL template. Values are URL-encoded. A path part that would be empty or lead elsewhere (`..`, also inside
 * an encoded value) is refused; in the query a missing value is empty. With `addToQuery`, arguments that the template
 * does not name follow in the query, except those whose name it has already. A fragment is dropped.
 * @throws {WebhookArgumentError}
 */
export function fillUrl(
  template: string,
  args: Readonly<Record<string, unknown>>,
  context: WebhookContext,
  addToQuery: boolean,
): URL {
  const [, origin = '', path = '', query = ''] = TEMPLATE.exec(template) ?? [];
  const lookUp = (name: string) => contextValue(context, name) ?? argumentText(args, name);
  const filledPath = path
    .split('/')
    .map((segment) => fillSegment(segment, lookUp))
    .join('/');
  const filledQuery = replacePlaceholders(query, (name) => encode(name, lookUp(name) ?? ''));
  const url = URL.parse(origin + filledPath + filledQuery);
  if (!url) throw new WebhookArgumentError('The address of this tool is not a URL.');
  if (addToQuery) {
    const used = new Set([...placeholderNames(path + query), ...url.searchParams.keys()]);
    const rest = new URLSearchParams();
    for (const name of Object.keys(args)) {
      const text = used.has(name) ? undefined : argumentText(args, name);
      if (text !== undefined) rest.append(name.toWellFormed(), text.toWellFormed());
    }
    if (rest.size > 0) url.search = url.search ? `${url.search}&${rest}` : `?${rest}`;
  }
  if (url.href.length > MAX_URL_LENGTH) throw new WebhookArgumentError('The arguments are too long.');
  return url;
}

function fillSegment(segment: string, lookUp: (name: string) => string | undefined): string {
  if (placeholderNames(segment).length === 0) return segment;
  const filled = replacePlaceholders(segment, (name) => {
    const value = lookUp(name);
    if (value === undefined || value.trim() === '') {
      throw new WebhookArgumentError(`"${name}" is needed, but it was not given.`);
    }
    // Servers that decode before they route would see parts of a path in here.
    if (value.split(/[\\/]/).some((part) => DOT_SEGMENT.test(part)) || /\p{Cc}/u.test(value)) {
      throw new WebhookArgumentError(`"${name}" has characters that are not allowed.`);
    }
    return encode(name, value);
  });
  if (DOT_SEGMENT.test(filled)) throw new WebhookArgumentError('The arguments do not make a valid address.');
  return filled;
}

function encode(name: string, value: string): string {
  if (value.length > MAX_VALUE_LENGTH) throw new WebhookArgumentError(`"${name}" is too long.`);
  return encodeURIComponent(value.toWellFormed());
}

function argumentText(args: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = Object.hasOwn(args, name) ? args[name] : undefined;
  if (value === undefined || value === null) return undefined;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
