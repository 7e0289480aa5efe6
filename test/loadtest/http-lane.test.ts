import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { HttpLane } from '../../loadtest/http-lane.ts';

/** A lane to a server of its own, and how often it said that the server closed its connection. */
async function laneTo(answer: RequestListener): Promise<{ lane: HttpLane; closed: () => number }> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  let closed = 0;
  const lane = new HttpLane({
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    keepAlive: true,
    headers: {},
    timeoutMs: 300,
    onClosed: () => closed++,
  });
  onTestFinished(async () => {
    await lane.close();
    server.closeAllConnections();
    server.close();
  });
  return { lane, closed: () => closed };
}

it('tells when the other side closes a connection', async () => {
  const { lane, closed } = await laneTo((request) => request.socket.destroy());
  await expect(lane.get('/')).rejects.toMatchObject({ code: 'socket_closed' });
  expect(closed()).toBe(1);
});

it('does not tell of connections that it gives up itself, because their answer is too late', async () => {
  const { lane, closed } = await laneTo(() => {});
  await expect(lane.get('/')).rejects.toMatchObject({ code: 'timeout' });
  expect(closed()).toBe(0);
});
