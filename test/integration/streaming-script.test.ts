import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { http } from '../support/call.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';

const SCRIPT = fileURLToPath(new URL('../../test_http_streaming.sh', import.meta.url));
const KEY = 'a key with "quotes" and $signs';
const hasTools = ['bash', 'curl', 'base64'].every((tool) => spawnSync(tool, ['--version']).status === 0);

describe.skipIf(!hasTools)('test_http_streaming.sh', () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startGateway({ env: { W3_VOICE_GATEWAY_API_KEY: KEY, SESSION_WORKERS: '1' } });
  });
  afterAll(() => gateway.stop());

  function run(env: Record<string, string>): Promise<{ code: number | null; out: string }> {
    return new Promise((resolve) => {
      const child = spawn('bash', [SCRIPT], {
        env: { PATH: process.env['PATH'] ?? '', SECONDS_OF_AUDIO: '2', ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let out = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (data) => {
          out += data;
        });
      }
      child.on('close', (code) => resolve({ code, out }));
    });
  }

  it('walks the six endpoints, says what passed and leaves nothing behind', async () => {
    const { code, out } = await run({ BASE_URL: gateway.url, W3_VOICE_GATEWAY_API_KEY: KEY });
    expect(out).not.toMatch(/^FAILED/m);
    expect(code).toBe(0);
    expect(out).toMatch(/All passed\.\n$/);
    expect(out.match(/^passed {2}/gm)!.length).toBeGreaterThanOrEqual(11);
    expect(out).toMatch(/stream 20 chunks of audio/);
    expect(out).toMatch(/^passed {2}call with one streamed request$/m);
    expect(out).toMatch(/^passed {2}hear the agent in its answer \(\d{4,} ms\)$/m);
    expect(out).toMatch(/^passed {2}have it ended with its request$/m);
    expect((await http('GET', `${gateway.url}/health`)).body.sessions).toBe(0);
  });

  it('does not pass with a wrong key', async () => {
    const { code, out } = await run({ BASE_URL: gateway.url, W3_VOICE_GATEWAY_API_KEY: 'wrong' });
    expect(code).not.toBe(0);
    expect(out).toMatch(/^FAILED {2}create a session: HTTP 403/m);
  });

  it('does not pass where nobody answers', async () => {
    const { code, out } = await run({ BASE_URL: 'http://127.0.0.1:1' });
    expect(code).not.toBe(0);
    expect(out).toMatch(/^FAILED {2}create a session: HTTP 000/m);
  });

  it('does not pass without a recording', () => {
    const { status, stderr } = spawnSync('bash', [SCRIPT, '/nowhere/at-all.wav'], { encoding: 'utf8' });
    expect(status).toBe(2);
    expect(stderr).toContain('the recording /nowhere/at-all.wav cannot be read');
  });
});
