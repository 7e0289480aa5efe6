import type { Implementation } from '../bus/index.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { ConnectGovernor } from '../upstream/connect-governor.ts';
import type { ConnectResult, UpstreamErrorClass } from '../upstream/host.ts';
import type { GatewayService } from '../workers/session/service.ts';
import type { SessionTable } from './session-table.ts';

/** Answers what session workers ask of the main thread: for the call that they name, or for leave to connect. */
export function workerRequests(
  sessions: SessionTable,
  governor: ConnectGovernor,
  metrics: Metrics,
): Implementation<(typeof GatewayService)['methods']> {
  return {
    isPlaying: ({ sessionKey, items }) => sessions.byId(sessionKey)?.isPlaying(items) ?? false,
    interrupt: ({ sessionKey, items, startedAtMs }) =>
      sessions.byId(sessionKey)?.interrupt(items, startedAtMs) ?? { cuts: [], heard: [], isProtected: true },
    runTool: ({ sessionKey, call }) =>
      sessions.byId(sessionKey)?.runTool(call) ?? { output: '{"error":"the call is over"}', respond: false },
    history: ({ sessionKey }) => sessions.byId(sessionKey)?.history() ?? [],
    connect: async ({ endsAtMs }, results, sink, { signal }) => {
      const permit = await governor.permit({ endsAtMs, signal });
      // The session gives up, or its worker dies, with the permit on its way or in its hands.
      signal.addEventListener('abort', () => permit.settle('given_up'), { once: true });
      if (signal.aborted) permit.settle('unused');
      sink.write('granted');
      await results.onItem((result) => {
        permit.settle(result);
        if (isConnectFailure(result)) metrics.upstreamErrors.inc({ class: `connect_${result}` });
      });
      permit.settle('given_up');
      sink.end();
    },
    report: ({ uplinkLatency, busySeconds }) => {
      if (uplinkLatency) metrics.uplinkLatency.merge(uplinkLatency);
      metrics.workerBusySeconds.inc(busySeconds);
    },
  };
}

function isConnectFailure(result: ConnectResult): result is UpstreamErrorClass {
  return result !== 'ok' && result !== 'given_up' && result !== 'unused';
}
