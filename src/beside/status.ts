import { createServer, type Server } from 'node:http';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import type { Config } from '../config/config.ts';
import type { LegServer } from '../leg/leg-server.ts';
import { version } from '../main/version.ts';

/** Answers whoever looks after the process. */
export async function serveStatus(config: Config, legs: LegServer, registry: Registry, log: Logger): Promise<Server> {
  const { LEG_HTTP_HOST: host, LEG_HTTP_PORT: port } = config.env;
  const answers: Readonly<Record<string, () => Promise<[status: number, type: string, text: string]>>> = {
    '/health': async () => [200, 'application/json', JSON.stringify({ status: 'ok', version, calls: legs.active })],
    '/ready': async () => {
      const reason = legs.refusal;
      const body = reason === undefined ? { ready: true } : { ready: false, reason };
      return [reason === undefined ? 200 : 503, 'application/json', JSON.stringify(body)];
    },
    '/metrics': async () => [200, Registry.PROMETHEUS_CONTENT_TYPE, await registry.metrics()],
  };
  const server = createServer(async (request, response) => {
    const answer = request.method === 'GET' ? answers[(request.url ?? '').split('?', 1)[0]!] : undefined;
    const [status, type, text] = answer ? await answer() : [404, 'application/json', '{"error":"not found"}'];
    response.writeHead(status, { 'content-type': type }).end(text);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  log.info({ host, port: (server.address() as { port: number }).port }, 'answering /health, /ready and /metrics');
  return server;
}
