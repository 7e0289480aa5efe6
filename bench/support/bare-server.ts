/** A Fastify server with nothing behind it: the least that a POST of a chunk can cost. */

import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';

const app = fastify();
app.post('/api/voice/stream/:callId', async () => ({ status: 'streamed', generation: 0 }));
app.get('/cpu', async () => process.cpuUsage());
await app.listen({ host: '127.0.0.1', port: 0 });
console.log(`listening on http://127.0.0.1:${(app.server.address() as AddressInfo).port}`);
