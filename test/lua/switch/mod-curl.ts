/** What mod_curl makes of its arguments. */
export interface CurlRequest {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly wantsJson: boolean;
  /** Whether certificates are checked. */
  readonly isSecure: boolean;
  readonly connectTimeoutMs: number | undefined;
  readonly timeoutMs: number | undefined;
}

/** Stock `max-bytes`: longer answers are an error. */
export const MAX_ANSWER_BYTES = 64_000;
const MAX_ARGUMENTS = 30;

/**
 * FreeSWITCH's way with arguments: split at blanks outside of single quotes, where a quote counts only if another one
 * follows; quotes are taken away, and a backslash before a quote, a blank or another backslash.
 */
export function splitArguments(text: string): string[] {
  const pieces: string[] = [];
  let start = 0;
  let isQuoted = false;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === "'" && (isQuoted || text.includes("'", i + 1))) isQuoted = !isQuoted;
    else if (text[i] === ' ' && !isQuoted) {
      if (i > start) pieces.push(text.slice(start, i));
      start = i + 1;
    }
  }
  if (start < text.length) pieces.push(text.slice(start));
  return pieces.map(unquote);
}

const ESCAPED: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', s: ' ' };

function unquote(piece: string): string {
  let out = '';
  let isQuoted = false;
  for (let i = 0; i < piece.length; i++) {
    const char = piece[i]!;
    const next = piece[i + 1] ?? '';
    if (char === '\\' && /['" \\]/.test(next)) out += piece[++i];
    else if (char === '\\' && ESCAPED[next] !== undefined) out += ESCAPED[piece[++i]!];
    else if (char === "'" && (isQuoted || piece.includes("'", i + 1))) isQuoted = !isQuoted;
    else out += char;
  }
  return out;
}

/** Reads the arguments as mod_curl does: any order after the URL, unknown words ignored, GET without `post`. */
export function readCurlArguments(text: string): CurlRequest {
  const words = splitArguments(text);
  if (words.length > MAX_ARGUMENTS) throw new Error(`mod_curl takes ${MAX_ARGUMENTS} arguments, not ${words.length}`);
  const headers: Record<string, string> = {};
  const request = {
    url: words[0] ?? '',
    method: 'GET' as 'GET' | 'POST',
    body: '',
    headers,
    wantsJson: false,
    isSecure: false,
    connectTimeoutMs: undefined as number | undefined,
    timeoutMs: undefined as number | undefined,
  };
  for (let i = 1; i < words.length; i++) {
    switch (words[i]!.toLowerCase()) {
      case 'json':
        request.wantsJson = true;
        break;
      case 'post':
        request.method = 'POST';
        request.body = decodePercent(words[++i] ?? '');
        headers['content-type'] ??= 'application/x-www-form-urlencoded';
        break;
      case 'content-type':
        headers['content-type'] = words[++i] ?? '';
        break;
      case 'append_headers': {
        const [name = '', ...rest] = (words[++i] ?? '').split(':');
        headers[name.toLowerCase()] = rest.join(':').trim();
        break;
      }
      case 'connect-timeout':
        request.connectTimeoutMs = Math.trunc(Number(words[++i])) * 1000;
        break;
      case 'timeout':
        request.timeoutMs = Math.trunc(Number(words[++i])) * 1000;
        break;
      case 'secure':
        request.isSecure = true;
        break;
    }
  }
  return request;
}

/** Bodies are percent-decoded; `+` stays. */
function decodePercent(text: string): string {
  const bytes = Buffer.from(text, 'utf8');
  const out: number[] = [];
  for (let i = 0; i < bytes.length; i++) {
    const code = bytes[i] === 0x25 ? Number.parseInt(bytes.toString('latin1', i + 1, i + 3), 16) : Number.NaN;
    if (Number.isNaN(code)) out.push(bytes[i]!);
    else {
      out.push(code);
      i += 2;
    }
  }
  return Buffer.from(out).toString('utf8');
}

/** An answer as the network gave it. `exitCode` is curl's: 0, 7 refused, 28 too slow, 52 nothing came, 56 broken off. */
export interface CurlOutcome {
  readonly exitCode: number;
  readonly status: number;
  readonly body: string;
}

/** What the script reads: text up to the first NUL, or everything in JSON strings; too long an answer is exit code 23. */
export function curlOutput(request: CurlRequest, outcome: CurlOutcome): string {
  let { exitCode } = outcome;
  let text = outcome.body.split('\0', 1)[0]!;
  if (Buffer.byteLength(outcome.body) > MAX_ANSWER_BYTES) {
    exitCode = 23;
    text = text.slice(0, MAX_ANSWER_BYTES);
  }
  if (!request.wantsJson) return text;
  return JSON.stringify({
    exit_code: String(exitCode),
    status_code: String(outcome.status),
    ...(text === '' ? {} : { body: text }),
    headers: [],
  });
}
