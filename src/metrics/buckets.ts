/** Upper edges in seconds for latencies inside the gateway; 3 ms (median) and 20 ms (p99) are objectives. */
export const LATENCY_BUCKETS_SECONDS = [
  0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1,
] as const;

/** For calls between threads, some of which wait for a network, a caller or a tool. */
export const BUS_BUCKETS_SECONDS = [...LATENCY_BUCKETS_SECONDS, 2, 5, 10, 30] as const;

/** For HTTP requests: fast ones, and polls that wait up to a minute. */
export const HTTP_BUCKETS_SECONDS = [...LATENCY_BUCKETS_SECONDS, 2, 5, 10, 30, 60] as const;

/** For reactions to the caller's speech: 200 ms is the objective. */
export const REACTION_BUCKETS_SECONDS = [0.001, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2] as const;

/** For replies that wait for the client's next request: milliseconds with a long poll, seconds with a slow client. */
export const HANDOVER_BUCKETS_SECONDS = [0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10] as const;

/** For steps that wait for a network, a model or a tool; 1 s is where a caller notices. */
export const WAIT_BUCKETS_SECONDS = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20] as const;

/** For what a call costs: hundredths and units of whatever currency. */
export const COST_BUCKETS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30] as const;

/** For whole calls. */
export const CALL_BUCKETS_SECONDS = [5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600] as const;

/** For the jitter of packets: 20 ms is one of them. */
export const JITTER_BUCKETS_SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1] as const;
