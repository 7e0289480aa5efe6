import { Type } from 'typebox';
import { ms, subject } from '../subject.ts';

/** How the process speaks and stops. */
export const process = subject({
  title: 'Log, traces and stop',
  variables: {
    LOG_LEVEL: Type.Union(
      ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map((level) => Type.Literal(level)),
      { default: 'info', description: 'pino level' },
    ),
    SHUTDOWN_GRACE_MS: ms(30_000, 'how long running calls may go on after SIGTERM; a second one ends them', 0),
    OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
      Type.String({
        pattern: '^https?://.+',
        description: 'traces of calls go there over OTLP/HTTP, to its `/v1/traces`',
      }),
    ),
    OTEL_EXPORTER_OTLP_HEADERS: Type.Optional(
      Type.String({ description: 'headers for it, `name=value` with commas between them, percent-encoded' }),
    ),
    OTEL_SERVICE_NAME: Type.String({ default: 'voice-gateway', description: 'what the traces say they are of' }),
  },
  secrets: ['OTEL_EXPORTER_OTLP_HEADERS'],
  urls: ['OTEL_EXPORTER_OTLP_ENDPOINT'],
  mustBe: { OTEL_EXPORTER_OTLP_ENDPOINT: 'an http:// or https:// URL' },
});
