const MASK = '…';
/** Names of query parameters whose values open something. */
const SECRET_NAME = /key|token|secret|sig|auth|pass|credential|^code$/i;

/** A URL as people may see it: without the user's name, the password and keys in the query. */
export function maskUrl(text: string): string {
  return text
    .replace(/\/\/[^/?#]*@/, `//${MASK}@`)
    .replace(/([?&]([^=&#]*)=)[^&#]*/g, (pair, head: string, name: string) =>
      SECRET_NAME.test(name) ? head + MASK : pair,
    );
}

/** What of a URL must not be read anywhere, as it is written and as it is meant. */
export function secretsInUrl(text: string): string[] {
  if (!URL.canParse(text)) return [];
  const { username, password, search } = new URL(text);
  const values = search
    .slice(1)
    .split('&')
    .filter((pair) => SECRET_NAME.test(pair.split('=', 1)[0]!))
    .map((pair) => pair.slice(pair.indexOf('=') + 1));
  const written = [username, password, ...values].filter((value) => value !== '');
  // What was percent-encoded may turn up decoded.
  return [...new Set(written.flatMap((value) => [value, decoded(value)]))];
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
