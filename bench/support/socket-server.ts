/** An upstream on another thread that reads and forgets, or sends what it is told to, as fast as it can. */
import type { AddressInfo } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { WebSocketServer } from 'ws';

const { event } = workerData as { event: string };
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
server.on('listening', () => parentPort!.postMessage((server.address() as AddressInfo).port));
server.on('connection', (socket) => {
  let left = 0;
  socket.on('message', (data) => {
    const text = data.toString();
    if (text.startsWith('send ')) {
      for (let i = Number(text.slice(5)); i > 0; i--) socket.send(event);
    } else if (text.startsWith('expect ')) left = Number(text.slice(7));
    else if (--left === 0) socket.send('all');
  });
});
