/** What can go wrong with a leg. Codes are stable; sentences may change. */
export type LegErrorCode =
  /** What came over the event socket is not of FreeSWITCH. */
  | 'garbage'
  /** FreeSWITCH does not answer. */
  | 'no_reply'
  /** FreeSWITCH refuses a command. */
  | 'refused'
  /** The event socket is closed. */
  | 'closed'
  /** A channel variable has a value that cannot be used. */
  | 'bad_variable'
  /** The call has audio that is not carried. */
  | 'bad_audio'
  /** All ports for audio are taken. */
  | 'no_port'
  /** No gateway takes the call. */
  | 'no_session';

/** Something went wrong with one leg. The message goes into `ai_fallback_reason`, so nothing secret is in it. */
export class LegError extends Error {
  readonly code: LegErrorCode;

  constructor(code: LegErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LegError';
    this.code = code;
  }
}
