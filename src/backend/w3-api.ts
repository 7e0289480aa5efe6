/** How the W3 backend is reached. */
export interface W3ApiOptions {
  /** `W3_API_URL`; a path in it is kept. */
  readonly url: string;
  /** Sent as `x-api-key`; absent: no such header. */
  readonly apiKey?: string | undefined;
}

/** The URL of a call of the backend. `path` starts with a slash, its parts encoded already. */
export function w3Url(api: W3ApiOptions, path: string): string {
  return api.url.replace(/\/+$/, '') + path;
}

/** The headers every call of the backend carries. */
export function w3Headers(api: W3ApiOptions, tenantId: string): Record<string, string> {
  return {
    accept: 'application/json',
    'x-tenant-id': tenantId,
    ...(api.apiKey === undefined ? {} : { 'x-api-key': api.apiKey }),
  };
}
