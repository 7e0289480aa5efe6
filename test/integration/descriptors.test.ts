import { connect, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { http } from '../support/call.ts';
import { startDaemonProcess } from '../support/daemon-process.ts';

it('a daemon with few descriptors outlives 300 idle connections, refuses calls while they last, and recovers', async () => {
  const daemon = await startDaemonProcess({ LOG_LEVEL: 'info' }, { descriptors: 256 });
  const sockets: Socket[] = [];
  try {
    const { port } = new URL(daemon.url);
    for (let i = 0; i < 300; i++) sockets.push(connect(Number(port), '127.0.0.1').on('error', () => {}));
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(daemon.child.exitCode).toBeNull();
    // Those that are idle give way.
    await expect
      .poll(
        () =>
          http('GET', `${daemon.url}/health`).then(
            ({ status }) => status,
            () => 0,
          ),
        { timeout: 20_000 },
      )
      .toBe(200);
    const { status } = await http('POST', `${daemon.url}/api/voice/session/create`, { callId: 'after' });
    expect(status).toBe(200);
    expect(daemon.child.exitCode).toBeNull();
  } finally {
    for (const socket of sockets) socket.destroy();
    await daemon.end('SIGKILL');
  }
}, 60_000);

it('a daemon whose descriptors run short refuses calls, says why, and lets those go on that it has', async () => {
  const daemon = await startDaemonProcess({ LOG_LEVEL: 'info', SESSION_WORKERS: 'dedicated' }, { descriptors: 128 });
  try {
    const create = (i: number) => http('POST', `${daemon.url}/api/voice/session/create`, { callId: `call-${i}` });
    let created = 0;
    let refused: Awaited<ReturnType<typeof create>> | undefined;
    while (!refused && created < 60) {
      const answer = await create(created);
      if (answer.status === 200) created++;
      else refused = answer;
    }
    expect(created).toBeGreaterThan(0);
    expect(refused).toMatchObject({
      status: 503,
      body: { code: 'overloaded', error: expect.stringMatching(/^the gateway is overloaded: \d+ of its 128 file/) },
    });
    const ready = await http('GET', `${daemon.url}/ready`);
    expect(ready).toMatchObject({ status: 503, body: { ready: false, reason: expect.stringContaining('of its 128') } });
    expect((await http('GET', `${daemon.url}/api/voice/sessions`)).body.count).toBe(created);
    expect((await http('POST', `${daemon.url}/api/voice/session/call-0/end`)).status).toBe(200);
    expect(daemon.child.exitCode).toBeNull();
  } finally {
    await daemon.end('SIGKILL');
  }
}, 60_000);
