/** A simulator on a thread of its own, started by `embedded.ts`. */
import { parentPort, workerData } from 'node:worker_threads';
import { RealtimeSimulator, type SimulatorOptions } from './server.ts';

if (!parentPort) throw new Error('thread.ts runs as a worker thread');
const port = parentPort;
const simulator = await RealtimeSimulator.listen(workerData as SimulatorOptions);
port.once('message', async () => {
  await simulator.close();
  port.close();
});
port.postMessage(simulator.url);
