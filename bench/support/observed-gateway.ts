/** A gateway that measures and logs, or does neither, for `bench/observability.ts`: `observed-gateway.ts DIST on|off`. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

type Modules = typeof import('../../src/main/daemon.ts') &
  typeof import('../../src/config/config.ts') &
  typeof import('../../src/main/log.ts') &
  typeof import('../../src/metrics/metrics.ts');

const [dist = '', mode] = process.argv.slice(2);
const load = async (path: string) => (await import(pathToFileURL(join(dist, path)).href)) as Modules;
const { startDaemon } = await load('main/daemon.js');
const { readConfig } = await load('config/config.js');
const { createLog } = await load('main/log.js');
const { Metrics } = await load('metrics/metrics.js');

const isOff = mode === 'off';
const log = createLog({ level: isOff ? 'silent' : 'info' });
const metrics = new Metrics();
// Nothing is measured, to find out what measuring costs.
if (isOff)
  for (const metric of metrics.registry.getMetricsAsArray())
    Object.assign(metric, { inc() {}, observe() {}, merge() {} });
const daemon = await startDaemon(readConfig(), log, { metrics });
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuMicros: user + system });
});
process.on('disconnect', () => void daemon.stop());
process.send?.({ url: daemon.url });
