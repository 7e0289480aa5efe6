import type { FastifyInstance } from 'fastify';
import { ApiError } from './errors.ts';

/** Most levels of lists and objects in a body: the API's own have one. */
const MAX_DEPTH = 32;
/** Most characters of a body that are no text: braces, numbers, blanks. */
const MAX_STRUCTURE = 32_768;
/** Most quotation marks inside the texts of a body. */
const MAX_ESCAPED_QUOTES = 1_024;

/** Reads JSON bodies, once they are known to be of a size that cannot hold up everybody else. */
export function installJsonParser(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
    const problem = excessOf(body);
    if (problem === undefined) parse(request, body, done);
    else done(new ApiError('invalid_json', `the body ${problem}`));
  });
}

/**
 * What is too much in a JSON text, if anything. Parsing ten megabytes of brackets takes seconds; looking for the end of
 * a text, which is what audio is, takes next to nothing.
 */
export function excessOf(json: string): string | undefined {
  let depth = 0;
  let structure = 0;
  let escapedQuotes = 0;
  for (let at = 0; at < json.length; at++) {
    const character = json.charCodeAt(at);
    if (character === QUOTE) {
      for (;;) {
        at = json.indexOf('"', at + 1);
        // The parser says what is wrong with a text that does not end.
        if (at < 0) return undefined;
        if (!isEscaped(json, at)) break;
        if (++escapedQuotes > MAX_ESCAPED_QUOTES) return `has more than ${MAX_ESCAPED_QUOTES} escaped quotation marks`;
      }
      continue;
    }
    if (++structure > MAX_STRUCTURE) return `has more than ${MAX_STRUCTURE} characters outside of strings`;
    if (character === OPEN_LIST || character === OPEN_OBJECT) {
      if (++depth > MAX_DEPTH) return `has more than ${MAX_DEPTH} levels`;
    } else if (character === CLOSE_LIST || character === CLOSE_OBJECT) depth--;
  }
  return undefined;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Whether an odd number of backslashes stands before a character. */
function isEscaped(text: string, at: number): boolean {
  let from = at - 1;
  while (text.charCodeAt(from) === BACKSLASH) from--;
  return (at - from) % 2 === 0;
}
