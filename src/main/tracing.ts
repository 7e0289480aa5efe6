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
    headers: headersOf(env.OTEL_EXPORTER_OTLP_HEADERS ?? ''),
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

/** `name=value,name=value`, as OpenTelemetry has it. */
function headersOf(text: string): Record<string, string> {
  const pairs = text.split(',').flatMap((pair) => {
    const at = pair.indexOf('=');
    return at < 1 ? [] : [[pair.slice(0, at).trim(), decoded(pair.slice(at + 1).trim())]];
  });
  return Object.fromEntries(pairs);
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
