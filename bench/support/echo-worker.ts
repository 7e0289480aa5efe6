/** The other end of the bus benchmark: answers on a bare port and on a bus, from the same thread. */
import { type MessagePort, workerData } from 'node:worker_threads';
import { BusPeer } from '../../src/bus/index.ts';
import { EchoService } from './echo-service.ts';

const { bare, bus } = workerData as { bare: MessagePort; bus: MessagePort };

let received = 0;
bare.on('message', (message: unknown) => {
  if (typeof message === 'object' && message !== null && 'send' in message) {
    const { send, item } = message as { send: number; item: string };
    for (let i = 0; i < send; i++) bare.postMessage(item);
  } else if (typeof message === 'object' && message !== null && 'expect' in message) {
    received = (message as { expect: number }).expect;
  } else if (received > 0) {
    received -= 1;
    if (received === 0) bare.postMessage('all');
  } else bare.postMessage(message);
});

new BusPeer(bus).serve(EchoService, {
  echo: (message) => message,
  async up(_request, source) {
    let count = 0;
    await source.onItem(() => {
      count += 1;
    });
    return count;
  },
  down({ count, item }, sink) {
    void (async () => {
      for (let i = 0; i < count; i++) if (!sink.write(item)) await sink.ready();
      sink.end();
    })();
  },
});
