#!/usr/bin/env node
/** `npm run leg`: takes calls from a FreeSWITCH beside it, for gateways somewhere else. */
import { createServer, type Server } from 'node:http';
import closeWithGrace from 'close-with-grace';
import { Command } from 'commander';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { monotonicNowMs } from '../clock.ts';
import { ConfigError } from '../config/check-environment.ts';
import { type Config, readConfig, secretsOf } from '../config/config.ts';
import { gatewayUrls } from '../config/subjects/leg.ts';
import { OverHttpGateway } from '../leg/gateway/over-http.ts';
import type { LegServer } from '../leg/leg-server.ts';
import { LegMetrics } from '../metrics/leg-metrics.ts';
import { listenFor } from './legs.ts';
import { createLog } from './log.ts';
import { version } from './version.ts';

const DEFAULT_PORT = 8084;
/** How often a stopping leg looks whether its last call has gone. */
const LOOK_MS = 100;

const program = new Command('leg')
  .description(
    'Takes calls from FreeSWITCH over its event socket, for gateways over HTTP. Configured by LEG_… variables.',
  )
  .option(
    '--gateway <url...>',
    'addresses of gateways; each call picks one, and moves on where it fails (default: LEG_GATEWAYS)',
  )
  .option('--check', 'check the configuration, and exit: 0 when all is well, 2 when not')
  .version(version)
  .parse();

const { gateway: urls, check } = program.opts<{ gateway?: string[]; check?: true }>();

function configOrExit(): Config {
  const given = urls === undefined ? {} : { LEG_GATEWAYS: urls.join(' ') };
  try {
    const config = readConfig({ ...process.env, ...given });
    if (gatewayUrls(config.env.LEG_GATEWAYS).length > 0) return config;
    process.stderr.write('there is no gateway: say --gateway https://gateway.example.com, or set LEG_GATEWAYS\n');
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const problem of error.problems) process.stderr.write(`${problem}\n`);
  }
  process.exit(2);
}

/** Answers whoever looks after the process. */
async function serveStatus(config: Config, legs: LegServer, registry: Registry, log: Logger): Promise<Server> {
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

const config = configOrExit();
if (check) {
  process.stdout.write('the configuration is good\n');
  process.exit(0);
}
const { env } = config;
const log = createLog({ level: env.LOG_LEVEL, secrets: secretsOf(config) });
try {
  const registry = new Registry();
  const metrics = new LegMetrics(registry, 'voice_gateway_');
  const gateway = new OverHttpGateway({
    urls: gatewayUrls(env.LEG_GATEWAYS),
    apiKey: env.LEG_API_KEY,
    leadMs: env.LEG_LEAD_MS,
    log,
  });
  const legs = await listenFor(config, env.LEG_PORT ?? DEFAULT_PORT, gateway, metrics, log);
  const status = await serveStatus(config, legs, registry, log);
  closeWithGrace({ delay: env.SHUTDOWN_GRACE_MS + 10_000, logger: false }, async ({ signal, err }) => {
    if (err) log.fatal({ err }, 'stopping because of a defect');
    else log.info({ signal, graceMs: env.SHUTDOWN_GRACE_MS }, 'stopping: no new calls');
    legs.drain();
    const endsAtMs = monotonicNowMs() + (err ? 0 : env.SHUTDOWN_GRACE_MS);
    while (legs.active > 0 && monotonicNowMs() < endsAtMs) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    await legs.close();
    status.close();
    log.info('stopped');
  });
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exit(1);
}
