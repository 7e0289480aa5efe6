/** Upper edges in seconds for latencies inside the gateway; 3 ms and 20 ms are objectives. */
export const LATENCY_BUCKETS_SECONDS = [
  0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1,
] as const;

/** For steps that wait for a network or a caller. */
export const WAIT_BUCKETS_SECONDS = [0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10] as const;

/** For whole calls. */
export const CALL_BUCKETS_SECONDS = [5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600] as const;
