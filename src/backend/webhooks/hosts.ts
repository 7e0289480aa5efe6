/** What an entry of `webhookHosts` looks like: `host` or `host:port`, without scheme, user or path. */
export const WEBHOOK_HOST_PATTERN = '^[^\\s/@?#\\\\]+$';
const ENTRY = new RegExp(WEBHOOK_HOST_PATTERN);

/**
 * Whether a list of hosts has that of a URL. An entry without a port means the scheme's own port. Names are compared
 * as they go on the wire: case, default ports and the many ways to write an IP address make no difference. A URL with
 * a user or password is never allowed.
 */
export function isAllowedHost(url: URL, allowedHosts: readonly string[]): boolean {
  if (url.username !== '' || url.password !== '') return false;
  return allowedHosts.some((entry) => ENTRY.test(entry) && URL.parse(`${url.protocol}//${entry}`)?.host === url.host);
}
