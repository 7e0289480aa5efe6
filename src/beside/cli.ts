#!/usr/bin/env node
/** `npm run leg`: takes calls from a FreeSWITCH beside it, for gateways somewhere else. */
import closeWithGrace from 'close-with-grace';
import { Command } from 'commander';
import { Registry } from 'prom-client';
import { monotonicNowMs } from '../clock.ts';
import { ConfigError } from '../config/check-environment.ts';
import { type Config, readConfig, secretsOf } from '../config/config.ts';
import { gatewayUrls } from '../config/subjects/leg.ts';
import { OverHttpGateway } from '../leg/gateway/over-http.ts';
import { listenFor } from '../leg/open-legs.ts';
import { createLog } from '../main/log.ts';
import { version } from '../main/version.ts';
import { LegMetrics } from '../metrics/leg-metrics.ts';
import { serveStatus } from './status.ts';

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
