/** Sources of the gateway are read here for their types; what they use of Node's globals the DOM's do not have. */
interface Performance {
  readonly eventLoopUtilization: typeof import('node:perf_hooks').performance.eventLoopUtilization;
}
