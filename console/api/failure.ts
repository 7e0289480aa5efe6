/** An answer that is an error, or none at all. `code` is the API's, or `unreachable`. */
export class ApiFailure extends Error {
  override readonly name = 'ApiFailure';
  readonly code: string;
  /** 0: there was no answer. */
  readonly status: number;
  readonly requestId: string | undefined;

  constructor(code: string, message: string, status: number, requestId?: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.status = status;
    this.requestId = requestId;
  }
}

/** What went wrong, for people. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
