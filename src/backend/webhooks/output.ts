import type { ExchangeAnswer } from '../exchange.ts';

/** Most bytes that the model is told of an answer. */
export const MAX_OUTPUT_BYTES = 16 * 1024;
const MAX_REFUSAL_LENGTH = 2_000;
const TEXT_TYPE = /^(?:text\/|application\/(?:.+\+)?(?:json|xml)\b|application\/x-www-form-urlencoded)/i;

/** What the model is told of a failure, in plain words. */
export function failureOutput(sentence: string): string {
  return JSON.stringify({ error: sentence });
}

/**
 * What the model is told of an answer: JSON as it came, other text as `{"result": …}`, what is longer than
 * `MAX_OUTPUT_BYTES` cut and marked so. A refusal (4xx) is told with what the service said about it; what a broken
 * service (5xx) says is of no use to a caller.
 */
export function answerOutput(answer: ExchangeAnswer): { readonly ok: boolean; readonly output: string } {
  const { status } = answer;
  if (status >= 300 && status < 400) {
    return {
      ok: false,
      output: failureOutput(`The service answered with a redirect (${status}), which is not followed.`),
    };
  }
  if (status < 200 || status >= 500) {
    return { ok: false, output: failureOutput(`The service failed (status ${status}).`) };
  }
  const text = textOf(answer);
  if (answer.unreadable !== undefined && status < 400) {
    return { ok: false, output: failureOutput('The service did what it was asked, but its answer cannot be read.') };
  }
  if (status >= 400) {
    const error = `The service refused the request (status ${status}).`;
    return {
      ok: false,
      output: fitJson(text.slice(0, MAX_REFUSAL_LENGTH), (cut) => (cut ? { error, answer: cut } : { error })),
    };
  }
  if (text === '') return { ok: true, output: JSON.stringify({ result: 'done' }) };
  if (!answer.isTruncated && Buffer.byteLength(text) <= MAX_OUTPUT_BYTES) {
    return { ok: true, output: isJson(text) ? text : fitJson(text, (cut) => ({ result: cut })) };
  }
  return { ok: true, output: fitJson(text, (cut) => ({ truncated: true, result: cut })) };
}

function textOf({ headers, text }: ExchangeAnswer): string {
  const type = headers['content-type'];
  if (typeof type === 'string' && !TEXT_TYPE.test(type)) return '';
  return text.trim();
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** JSON of at most `MAX_OUTPUT_BYTES`; escapes can make it many times longer than its text. */
function fitJson(text: string, build: (cut: string) => object): string {
  let cut = text;
  let output = JSON.stringify(build(cut));
  while (Buffer.byteLength(output) > MAX_OUTPUT_BYTES) {
    cut = text.slice(0, Math.floor(cut.length * 0.8)).toWellFormed();
    output = JSON.stringify(build(cut));
  }
  return output;
}
