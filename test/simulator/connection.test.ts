import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RealtimeSimulator } from '../../src/simulator/server.ts';
import { INSTANT, speech, TestClient } from './client.ts';

let simulator: RealtimeSimulator;
beforeEach(async () => {
  simulator = await RealtimeSimulator.listen(INSTANT);
});
afterEach(() => simulator.close());

describe('a connection as a test sees it', () => {
  it('knows its request', async () => {
    const waiting = simulator.waitForConnection();
    const headers = { authorization: 'Bearer k', 'openai-safety-identifier': 'caller-7' };
    await TestClient.connect(simulator.url, { model: 'gpt-realtime', extra: 'yes' }, { headers });
    const connection = await waiting;
    expect(connection).toBe(simulator.connections[0]);
    expect(connection.request.model).toBe('gpt-realtime');
    expect(connection.request.query.get('extra')).toBe('yes');
    expect(connection.request.headers).toMatchObject(headers);
  });

  it('remembers the events it received, appends in a row as one', async () => {
    const client = await TestClient.connect(simulator.url);
    await client.update({ instructions: 'Hi.' });
    client.append(speech(20));
    client.append(speech(20));
    client.append(speech(20));
    client.send({ type: 'input_audio_buffer.clear', event_id: 'c1' });
    client.append(speech(20));
    await client.update({});
    const connection = simulator.connections[0]!;
    expect(connection.receivedTypes).toEqual([
      'session.update',
      'input_audio_buffer.append',
      'input_audio_buffer.clear',
      'input_audio_buffer.append',
      'session.update',
    ]);
    expect(connection.received[0]?.event).toMatchObject({ session: { instructions: 'Hi.' } });
    expect(connection.received[1]?.count).toBe(3);
    expect(connection.received[2]?.event.event_id).toBe('c1');
    expect(connection.session.instructions).toBe('Hi.');
    expect(() => connection.receivedAudio()).toThrow('captureAudio');
  });

  it('forgets the oldest of very many', async () => {
    const client = await TestClient.connect(simulator.url);
    for (let n = 0; n < 5000; n++) client.send({ type: 'input_audio_buffer.clear', event_id: `e${n}` });
    await client.update({});
    const { received } = simulator.connections[0]!;
    expect(received.length).toBeLessThanOrEqual(4000);
    expect(received.length).toBeGreaterThanOrEqual(2000);
    expect(received.at(-2)?.event.event_id).toBe('e4999');
  });

  it('tells what comes and goes', async () => {
    const client = await TestClient.connect(simulator.url);
    const [connection] = simulator.connections;
    const received = once(connection!, 'clientEvent');
    const sent = once(connection!, 'serverEvent');
    client.send({ type: 'session.update', session: { type: 'realtime' } });
    expect((await received)[0]).toMatchObject({ type: 'session.update' });
    expect((await sent)[0]).toMatchObject({ type: 'session.updated' });
  });

  it('sends whatever a test wants it to', async () => {
    const client = await TestClient.connect(simulator.url);
    simulator.connections[0]!.send({ type: 'error', error: { type: 'server_error', code: null, message: 'Oops.' } });
    expect(await client.next('error')).toMatchObject({ event_id: expect.any(String), error: { message: 'Oops.' } });
  });

  it('drops, or closes with a code', async () => {
    const first = await TestClient.connect(simulator.url);
    const [connection] = simulator.connections;
    const closed = once(connection!, 'close');
    connection!.drop();
    expect(await first.closed).toMatchObject({ code: 1006 });
    await closed;
    expect(connection!.isOpen).toBe(false);
    const second = await TestClient.connect(simulator.url);
    simulator.connections[0]!.drop(4002);
    expect(await second.closed).toMatchObject({ code: 4002 });
  });

  it('answers pings with their payload', async () => {
    const client = await TestClient.connect(simulator.url);
    client.socket.ping('abc');
    const [payload] = await once(client.socket, 'pong');
    expect(payload.toString()).toBe('abc');
  });

  it('stops generating when the client goes', async () => {
    const slow = await RealtimeSimulator.listen({ ...INSTANT, speedup: 1 });
    const client = await TestClient.connect(slow.url);
    const [connection] = slow.connections;
    client.send({ type: 'response.create' });
    await client.next('response.output_audio.delta');
    const closed = once(connection!, 'close');
    await client.close();
    await closed;
    const { eventsOut } = slow.stats;
    expect(slow.connections).toEqual([]);
    const other = await TestClient.connect(slow.url);
    await other.update({});
    expect(slow.stats.eventsOut).toBe(eventsOut + 2);
    await slow.close();
  });
});

describe('stats', () => {
  it('count connections, events and errors', async () => {
    const client = await TestClient.connect(simulator.url);
    await client.refused({ type: 'response.cancel' });
    await client.refused({ type: 'response.cancel' });
    await client.refused({ type: 'nonsense' });
    const gone = await TestClient.connect(simulator.url);
    const closed = once(simulator.connections[1]!, 'close');
    await gone.close();
    await closed;
    expect(simulator.stats).toEqual({
      bills: {},
      connectionsOpen: 1,
      connectionsTotal: 2,
      handshakesRefused: {},
      eventsIn: 3,
      eventsOut: 5,
      errors: { response_cancel_not_active: 2, invalid_value: 1 },
    });
  });
});
