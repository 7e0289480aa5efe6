import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { portRange, switchAddresses } from '../config/subjects/leg.ts';
import { ApiError } from '../http/errors.ts';
import type { CallGateway, Scope } from '../http/gateway.ts';
import type { KeyRing } from '../http/key-ring.ts';
import { may } from '../http/permissions.ts';
import type { LegMetrics } from '../metrics/leg-metrics.ts';
import { InProcessGateway } from './gateway/in-process.ts';
import type { LegGateway } from './gateway/leg-gateway.ts';
import { LegServer } from './leg-server.ts';

/** Takes calls from switches for this process's own gateway, where `LEG_PORT` says so. Whoever opens it closes it. */
export async function openLegs(
  config: Config,
  gateway: CallGateway,
  keys: KeyRing,
  metrics: LegMetrics,
  log: Logger,
): Promise<LegServer | undefined> {
  const { LEG_PORT: port } = config.env;
  if (port === undefined) return undefined;
  return listenFor(config, port, new InProcessGateway(gateway, (key) => scopeOf(key, keys)), metrics, log);
}

/**
 * Listens for switches.
 * @throws {Error} where nobody can listen there
 */
export async function listenFor(
  { env }: Config,
  port: number,
  gateway: LegGateway,
  metrics: LegMetrics,
  log: Logger,
): Promise<LegServer> {
  const { LEG_HOST: host } = env;
  const legs = new LegServer({
    host,
    port,
    switches: switchAddresses(env.LEG_SWITCHES),
    ports: portRange(env.LEG_PORTS),
    defaults: { fallbackExtension: env.LEG_FALLBACK_EXTENSION },
    gateway,
    metrics,
    log,
  });
  try {
    const address = { host, port: await legs.listen(), audioPorts: env.LEG_PORTS };
    log.info(address, 'listening for the event sockets of FreeSWITCH');
    return legs;
  } catch (cause) {
    const why = (cause as Error).message;
    throw new Error(`LEG_HOST is "${host}" and LEG_PORT is ${port}, but nobody can listen there: ${why}`, { cause });
  }
}

/** A call with a key is the key's. One without is the operator's: whoever may connect is a switch of his. */
function scopeOf(key: string | undefined, keys: KeyRing): Scope {
  if (key === undefined || keys.isOpen) return { tenantId: undefined };
  const holder = keys.find(key);
  if (!holder) throw new ApiError('forbidden', 'the API key is not known here');
  const scope = { tenantId: holder.tenantId, by: holder };
  if (may(scope, 'calls')) return scope;
  throw new ApiError('forbidden', 'the API key may look at calls, but not make, hear or end them');
}
