import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { Traces } from '../traces/traces.ts';
import { version } from './version.ts';

/** Loads OpenTelemetry where its endpoint is set, and nothing of it elsewhere. */
export async function openTraces({ env }: Config, log: Logger, metrics: Metrics): Promise<Traces> {
  const endpoint = env.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (endpoint === undefined) return new Traces();
  const { OtlpSpans } = await import('../traces/otlp.ts');
  const sink = new OtlpSpans({
    endpoint,
    headers: env.OTEL_EXPORTER_OTLP_HEADERS ?? '',
    serviceName: env.OTEL_SERVICE_NAME,
    version,
    onSpans: (outcome, count) => metrics.traceSpans.inc({ outcome }, count),
    onReceiver: (problem) => {
      if (problem) log.warn({ why: problem.message }, 'traces are not taken: calls go on without them');
      else log.info('traces are taken again');
    },
  });
  return new Traces(sink);
}
