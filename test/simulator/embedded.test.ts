import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { startEmbeddedSimulator } from '../../src/simulator/embedded.ts';
import { INSTANT, manifest, TestClient } from './client.ts';

describe('startEmbeddedSimulator', () => {
  it('serves from a thread of its own, until it is closed', async () => {
    const { url, close } = await startEmbeddedSimulator({ ...INSTANT, faults: { unknownEvents: true } });
    const client = await TestClient.connect(url);
    client.send({ type: 'response.create' });
    const { response } = await client.next('response.done');
    expect(response.output).toMatchObject([{ content: [{ transcript: manifest.agentLines.greeting!.text }] }]);
    await Promise.all([close(), close()]);
    expect(await client.closed).toMatchObject({ code: 1006 });
    const late = new TestClient(url);
    late.socket.on('error', () => {});
    await late.closed;
    expect(late.types).toEqual([]);
  });

  it('rejects with the reason when it cannot start', async () => {
    await expect(startEmbeddedSimulator({ fixturesDir: '/nowhere' })).rejects.toThrow('/nowhere/manifest.json');
  });
});

describe('the command', () => {
  const cli = fileURLToPath(new URL('../../src/simulator/cli.ts', import.meta.url));

  function run(...args: string[]): {
    child: ChildProcess;
    lines: AsyncIterator<string>;
    stderr: () => Promise<string>;
  } {
    const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const stderr = async () => {
      let text = '';
      for await (const chunk of child.stderr!) text += chunk;
      return text;
    };
    return { child, lines, stderr };
  }

  it.each(['SIGINT', 'SIGTERM'] as const)('prints its URL, serves, and ends cleanly on %s', async (signal) => {
    const { child, lines } = run(
      '--port',
      '0',
      '--mode',
      'loopback',
      '--api-key',
      'sesame',
      '--fault',
      'unknown_events',
    );
    try {
      const first = JSON.parse((await lines.next()).value as string);
      expect(first).toMatchObject({
        mode: 'loopback',
        url: expect.stringMatching(/^ws:\/\/127\.0\.0\.1:\d+\/v1\/realtime$/),
      });
      expect(JSON.parse((await lines.next()).value as string).msg).toContain(`OPENAI_REALTIME_URL=${first.url}`);
      const client = await TestClient.connect(first.url, {}, { headers: { authorization: 'Bearer sesame' } });
      expect(JSON.parse((await lines.next()).value as string)).toMatchObject({
        msg: 'connected',
        faults: { unknownEvents: true },
      });
      child.kill(signal);
      const [code] = await once(child, 'exit');
      expect(code).toBe(0);
      expect(await client.closed).toMatchObject({ code: 1006 });
    } finally {
      child.kill('SIGKILL');
    }
  });

  it.each([
    [['--fault', 'gremlins'], 'fault=gremlins is not one of'],
    [['--mode', 'singing'], 'Allowed choices are scripted, echo, loopback'],
    [['--speedup', '0'], 'not a number above 0'],
    [['--tls-cert', 'x.pem'], '--tls-cert and --tls-key go together'],
    [['--fixtures', '/nowhere', '--port', '0'], '/nowhere/manifest.json'],
  ])('refuses %j with a sentence', async (args, sentence) => {
    const { child, stderr } = run(...args);
    const [text, [code]] = await Promise.all([stderr(), once(child, 'exit')]);
    expect(text).toContain(sentence);
    expect(text).not.toContain('    at ');
    expect(code).toBe(1);
  });
});
