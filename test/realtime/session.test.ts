import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { monotonicNowMs } from '../../src/clock.ts';
import type { RealtimeSession, RealtimeSetup } from '../../src/realtime/session.ts';
import { type Faults, RealtimeSimulator, type SimulatorConnection } from '../../src/simulator/server.ts';
import { nextEvent, received } from '../support/caller.ts';
import { frame, loud, newSession, quiet, SETTINGS, type TestHost } from '../support/realtime.ts';

let simulator: RealtimeSimulator;
const sessions: RealtimeSession[] = [];

beforeAll(async () => {
  simulator = await RealtimeSimulator.listen({ speedup: 40, responseDelayMs: 2, transcriptionDelayMs: 1 });
});
afterEach(() => {
  for (const session of sessions.splice(0)) session.close();
});
afterAll(() => simulator.close());

interface Open {
  readonly session: RealtimeSession;
  readonly host: TestHost;
  readonly connection: SimulatorConnection;
}

async function open(options: Partial<RealtimeSetup> = {}, faults: Faults = {}): Promise<Open> {
  const { session, host } = newSession(simulator.url, options);
  sessions.push(session);
  simulator.nextConnection(faults);
  const connected = simulator.waitForConnection();
  await session.open(10_000);
  return { session, host, connection: await connected };
}

async function failure(options: Partial<RealtimeSetup>, faults: Faults, timeoutMs = 10_000): Promise<unknown> {
  const { session } = newSession(simulator.url, options, monotonicNowMs);
  simulator.nextConnection(faults);
  const error = await session.open(timeoutMs).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  session.close();
  return error;
}

describe('opening', () => {
  it('is ready when the upstream has confirmed its settings', async () => {
    const { host, connection } = await open();
    expect(connection.session.instructions).toBe(SETTINGS.instructions);
    expect(host.events).toEqual([{ type: 'ready', connectMs: 0, attempt: 1, atMs: expect.any(Number) }]);
  });

  it.each([
    [{ refuseHandshake: { status: 401 } }, { class: 'refused', code: 'http_401' }],
    [{ refuseHandshake: { status: 404 } }, { class: 'refused', code: 'http_404' }],
    [{ refuseSessionUpdate: { code: 'invalid_value' } }, { class: 'refused', code: 'invalid_value' }],
    [{ drop: { at: 'connected', closeCode: 4000 } }, { class: 'refused', code: 'close_4000' }],
  ] as [Faults, object][])('fails at once where another try would not help: %j', async (faults, expected) => {
    const before = simulator.stats;
    expect(await failure({}, faults)).toMatchObject({ name: 'UpstreamError', ...expected });
    const { connectionsTotal, handshakesRefused } = simulator.stats;
    const tries = (stats: typeof before) =>
      stats.connectionsTotal + Object.values(stats.handshakesRefused).reduce((sum, count) => sum + count, 0);
    expect(tries({ ...before, connectionsTotal, handshakesRefused }) - tries(before)).toBe(1);
  });

  it.each([
    [{ code: 'model_not_found' }],
    // A server that names no parameter names the model.
    [{ code: 'invalid_value', param: null }],
  ])('goes on without transcripts where only those are refused: %j', async (refuseTranscription) => {
    const faults: Faults = { refuseTranscription, drop: { at: 'reply', afterMs: 50 } };
    const { session, host, connection } = await open({}, faults);
    expect(connection.session.audio.input.transcription).toBeNull();
    expect(connection.session.instructions).toBe(SETTINGS.instructions);
    expect(host.all('transcription_refused')).toMatchObject([
      { model: 'gpt-transcribe', code: refuseTranscription.code },
    ]);
    // The next connection is not asked for what the first one refused.
    simulator.nextConnection({});
    const next = simulator.waitForConnection();
    session.sendDtmf('1#');
    const updates = received(await next, 'session.update');
    await host.until(() => host.all('response_done').length > 0);
    expect(updates.length).toBeLessThanOrEqual(1);
    expect((await next).session.audio.input.transcription).toBeNull();
    expect(host.all('transcription_refused')).toHaveLength(1);
  });

  it('fails where more than the transcription is refused', async () => {
    const refuseSessionUpdate = { code: 'invalid_value', message: 'gpt-transcribe is one thing, the voice another' };
    expect(await failure({}, { refuseSessionUpdate })).toMatchObject({ class: 'refused', code: 'invalid_value' });
  });

  it.each([429, 500, 503])('tries again after HTTP %d', async (status) => {
    const { host } = await open({}, { refuseHandshake: { status } }).catch(() => ({ host: undefined }));
    expect(host?.all('ready')).toMatchObject([{ attempt: 2 }]);
  });

  it('is given up when the time is over', async () => {
    expect(await failure({}, { ignoreSessionUpdate: true }, 300)).toMatchObject({ class: 'timeout' });
    expect(await failure({}, { handshakeDelayMs: 60_000 }, 300)).toMatchObject({ class: 'timeout' });
  });

  it('is given up when the session is closed', async () => {
    const { session } = newSession(simulator.url);
    simulator.nextConnection({ ignoreSessionUpdate: true });
    const connected = simulator.waitForConnection();
    const opening = session.open(60_000).catch((error: unknown) => error);
    const connection = await connected;
    const closed = once(connection, 'close');
    session.close();
    expect(await opening).toMatchObject({ code: 'aborted' });
    await closed;
  });

  it('waits for its turn no longer than it has time', async () => {
    const { session, host } = newSession(simulator.url, {}, monotonicNowMs);
    host.connectPermit = ({ signal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    expect(await session.open(100).catch((error: unknown) => error)).toMatchObject({ code: 'connect_queue' });
    session.close();
  });
});

describe('a turn', () => {
  it('that the server does not answer by itself is asked for', async () => {
    const { connection, host } = await open();
    const asked = nextEvent(connection, 'clientEvent', 'response.create');
    connection.send({ type: 'input_audio_buffer.speech_started', item_id: 'item_x', audio_start_ms: 0 });
    connection.send({ type: 'input_audio_buffer.speech_stopped', item_id: 'item_x', audio_end_ms: 500 });
    connection.send({ type: 'input_audio_buffer.committed', item_id: 'item_x', previous_item_id: null });
    await asked;
    await host.until(() => host.all('response_done').length > 0);
    expect(received(connection, 'response.create')).toHaveLength(1);
  });

  it('that begins while a response is on its way is not talked into', async () => {
    const { session, connection, host } = await open();
    connection.on('clientEvent', ({ type }) => {
      if (type !== 'response.create') return;
      connection.send({ type: 'input_audio_buffer.speech_started', item_id: 'item_x', audio_start_ms: 0 });
    });
    session.prompt('Say exactly: "Hello, are you still there? I am listening."');
    await host.until(() => host.all('response_done').length > 0);
    expect(host.all('response_done')).toMatchObject([{ status: 'cancelled' }]);
    expect(received(connection, 'response.cancel')).toHaveLength(1);
    expect([...host.receivedMs.values()].every((ms) => ms === 0)).toBe(true);
  });

  it('is answered once, though a prompt was asked for in the same moment', async () => {
    const { session, connection, host } = await open();
    connection.on('serverEvent', ({ type }) => {
      if (type === 'input_audio_buffer.committed') session.prompt('Say something.');
    });
    session.sendAudio(frame(loud(300)));
    session.sendAudio(frame(quiet(700)));
    await host.until(() => host.all('response_done').length > 0 && host.all('upstream_error').length > 0);
    expect(host.all('upstream_error')).toMatchObject([
      { code: 'conversation_already_has_active_response', verdict: 'benign' },
    ]);
    expect(host.all('response_started')).toHaveLength(1);
    expect(received(connection, 'response.create')).toHaveLength(1);
  });
});

describe('closing', () => {
  it('leaves nothing behind that keeps a process alive, nor reports anything', async () => {
    const dropping = (connection: SimulatorConnection) =>
      connection.on('clientEvent', (event) => {
        if (JSON.stringify(event).includes('DROP')) connection.drop();
      });
    simulator.on('connection', dropping);
    try {
      const script = fileURLToPath(new URL('../support/closing-session.ts', import.meta.url));
      const child = spawn(process.execPath, [script, simulator.url], { stdio: ['ignore', 'pipe', 'inherit'] });
      let output = '';
      child.stdout.on('data', (data: Buffer) => {
        output += data.toString();
      });
      const [code] = await once(child, 'exit');
      expect(output).toBe('closed');
      expect(code).toBe(0);
    } finally {
      simulator.off('connection', dropping);
    }
  });

  it('ends the connection in good order', async () => {
    const { session, connection } = await open();
    const closed = once(connection, 'close');
    session.close();
    expect((await closed)[0]).toBe(1000);
  });
});
