/** When to try again, and when to give up. */
export interface ReconnectPolicy {
  readonly connectTimeoutMs: number;
  readonly pingIntervalMs: number;
  /** Attempts after a connection was lost, before the session is given up; see `stableAfterMs`. */
  readonly maxAttempts: number;
  /** How long a caller is left waiting for another connection, however many attempts are left. */
  readonly maxOutageMs: number;
  /** Wait before the second attempt; doubles, with jitter, up to `maxBackoffMs`. */
  readonly firstBackoffMs: number;
  readonly maxBackoffMs: number;
  /**
   * A connection that is lost sooner than this has restored nothing: the attempts that led to it count on. Otherwise an
   * upstream that accepts every connection and drops it at once would be tried for as long as the call lasts.
   */
  readonly stableAfterMs: number;
  /** How long before the server's own end a session moves to a new connection. */
  readonly rotateBeforeMs: number;
  /** A call that has just moved stays at least this long, whatever the server says of the new session's end. */
  readonly rotateFloorMs: number;
  /** A session's end that is nearer than this when it is created cannot be meant. */
  readonly shortestLifeMs: number;
  /** Caller audio kept while there is no connection. */
  readonly keepAudioMs: number;
}

export const DEFAULT_RECONNECT_POLICY: ReconnectPolicy = {
  connectTimeoutMs: 10_000,
  pingIntervalMs: 15_000,
  maxAttempts: 8,
  maxOutageMs: 45_000,
  firstBackoffMs: 250,
  maxBackoffMs: 5_000,
  stableAfterMs: 10_000,
  rotateBeforeMs: 600_000,
  rotateFloorMs: 300_000,
  shortestLifeMs: 60_000,
  keepAudioMs: 1_000,
};
