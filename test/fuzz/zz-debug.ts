import { setTimeout as sleep } from 'node:timers/promises';
import { startDaemonProcess } from '../support/daemon-process.ts';
import { Random } from './random.ts';
import { MISHAPS, StreamClient } from './stream-clients.ts';
const daemon = await startDaemonProcess({ SESSION_WORKERS: '2', SESSION_IDLE_TIMEOUT_MS: '3000', FIRST_AUDIO_TIMEOUT_MS: '3000' });
let n = 0;
for (const [name, run] of Object.entries(MISHAPS)) {
  for (const twice of [false, true]) {
    const path = `/api/voice/stream/c-${n++}/duplex?create=1`;
    const open = () => new StreamClient(daemon.url, path, 'audio/pcmu', new Random(n), sleep(4000));
    const c = [open()]; if (twice) c.push(open());
    await Promise.race([Promise.all(c.map((x) => run(x))), sleep(9000)]);
    for (const x of c) x.socket.destroy();
    await sleep(1500);
    const text = await (await fetch(`${daemon.url}/metrics`)).text();
    console.log(name, twice, c.map((x) => x.status), text.split('\n').filter((l) => l.startsWith('voice_gateway_duplex_connections') || l.startsWith('voice_gateway_sessions_active')).join(' ').replaceAll('voice_gateway_', ''));
  }
}
await daemon.end('SIGKILL');
