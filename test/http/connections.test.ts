import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { Connections } from '../../src/http/connections.ts';
import { asHttpRequest } from '../../src/http/http-request.ts';

/** A server that never answers, and one client whose body does not end. Returns the codes of what it is told is wrong. */
async function waiting(path: string): Promise<{ connections: Connections; errors: string[] }> {
  const connections = new Connections();
  const errors: string[] = [];
  const arrived = Promise.withResolvers<void>();
  const server = connections.createServer(
    (request) => {
      if (request.url === '/stream') asHttpRequest(request).streamTo(() => {});
      arrived.resolve();
    },
    { tcpKeepAliveMs: 30_000, requestTimeoutMs: 5_000, keepAliveTimeoutMs: 72_000 },
  );
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    errors.push(error.code ?? '');
    socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`);
  await arrived.promise;
  onTestFinished(() => {
    socket.destroy();
    connections.close();
    server.close();
  });
  return { connections, errors };
}

it('a body that does not arrive in time is told so', async () => {
  const { connections, errors } = await waiting('/chunk');
  for (let tick = 0; tick < 4; tick++) connections.tick();
  expect(errors).toEqual([]);
  connections.tick();
  expect(errors).toEqual(['ERR_HTTP_REQUEST_TIMEOUT']);
});

it('a body that lasts as long as a call has all the time', async () => {
  const { connections, errors } = await waiting('/stream');
  for (let tick = 0; tick < 10_000; tick++) connections.tick();
  expect(errors).toEqual([]);
});
