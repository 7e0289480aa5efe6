import type { Socket } from 'node:net';
import { WebSocketServer } from 'ws';

/** A Realtime server that opens a session and then reads nothing any more. Whoever starts it closes it. */
export interface StalledUpstream {
  readonly url: string;
  /** Reads again what waits, and from then on. */
  resume(): void;
  close(): void;
}

export async function startStalledUpstream(): Promise<StalledUpstream> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  const sockets: Socket[] = [];
  server.on('connection', (socket, request) => {
    sockets.push(request.socket);
    socket.send(JSON.stringify({ type: 'session.created', event_id: 'e1', session: { id: 'sess_1' } }));
    socket.on('message', (data) => {
      const { type, session } = JSON.parse(data.toString());
      if (type !== 'session.update') return;
      socket.send(JSON.stringify({ type: 'session.updated', event_id: 'e2', session: { id: 'sess_1', ...session } }));
      request.socket.pause();
    });
  });
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `ws://127.0.0.1:${port}`,
    resume() {
      for (const socket of sockets) socket.resume();
    },
    close() {
      for (const client of server.clients) client.terminate();
      server.close();
    },
  };
}
