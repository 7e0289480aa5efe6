/**
 * The gateway that a run torments, in a process of its own, so that a defect that would end a daemon ends this. It is
 * configured by the environment, as the daemon is; it comes back from a lost connection sooner than one does by default,
 * and believes a server whose sessions last seconds.
 */
import { readConfig, secretsOf } from '../../src/config/config.ts';
import { startDaemon } from '../../src/main/daemon.ts';
import { createLog } from '../../src/main/log.ts';

const config = readConfig();
const log = createLog({ level: config.env.LOG_LEVEL, secrets: secretsOf(config) });
const reconnect = { firstBackoffMs: 50, maxBackoffMs: 500, shortestLifeMs: 1_000 };
const daemon = await startDaemon(config, log, { reconnect, connectsPerSecond: 1_000 });
process.once('SIGTERM', () => void daemon.stop(0));
