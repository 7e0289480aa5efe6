import { MessageChannel } from 'node:worker_threads';
import { BusPeer, defineService, serverStream, unary } from '../../../src/bus/index.ts';

const Idle = defineService('idle', { hang: unary<void, never>(), stream: serverStream<void, never>() });

// Calls are pending and their deadlines far away, but nothing is left to do here: this thread has to end by itself.
const { port1, port2 } = new MessageChannel();
const [left, right] = [new BusPeer(port1), new BusPeer(port2)];
right.serve(Idle, { hang: () => new Promise<never>(() => {}), stream() {} });
const idle = left.client(Idle);
idle.hang(undefined, { timeoutMs: 3_600_000 });
idle.stream(undefined, { timeoutMs: 3_600_000 });
left.unref();
right.unref();
