import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertWhole } from '../../src/audio/converter.ts';
import { OverHttpGateway } from '../../src/leg/gateway/over-http.ts';
import { LegServer } from '../../src/leg/leg-server.ts';
import { LegMetrics } from '../../src/metrics/leg-metrics.ts';
import { TestCall } from '../support/call.ts';
import { aiLine, eventually, manifest, silence, speech, userLine } from '../support/caller.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';
import { killAllCalls, SwitchCall, type SwitchCallOptions } from './switch/test-switch.ts';

const KEY = 'operator-key';
const log = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' });

/** A network between a leg and a gateway, which can be broken. */
class Cable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  isCut = false;

  constructor(target: string) {
    const { port } = new URL(target);
    this.#server = createServer((socket) => {
      if (this.isCut) {
        socket.destroy();
        return;
      }
      const onward = connect(Number(port), '127.0.0.1');
      for (const [a, b] of [
        [socket, onward],
        [onward, socket],
      ] as const) {
        this.#sockets.add(a);
        a.on('error', () => {});
        a.once('close', () => b.destroy());
        a.pipe(b);
      }
    });
  }

  async open(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** Breaks what goes through it. */
  break(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  /** Nothing gets through any more, and nobody is told. */
  freeze(): void {
    for (const socket of this.#sockets) socket.unpipe();
  }

  close(): void {
    this.break();
    this.#server.close();
  }
}

let gateway: TestGateway;
let other: TestGateway;
let legCount = 0;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  const options = {
    env: { SESSION_WORKERS: '1', W3_VOICE_GATEWAY_API_KEY: KEY },
    profiles: { quiet: QUIET_PROFILE },
  };
  [gateway, other] = await Promise.all([startGateway(options), startGateway(options)]);
});
afterAll(async () => {
  killAllCalls();
  for (const close of closers.splice(0).reverse()) await close();
  await Promise.all([gateway.stop(), other.stop()]);
});

async function cable(target = gateway): Promise<Cable & { readonly url: string }> {
  const line = new Cable(target.url);
  closers.push(() => line.close());
  return Object.assign(line, { url: await line.open() });
}

async function openLeg(urls: readonly string[], apiKey = KEY): Promise<LegServer> {
  const legs = new LegServer({
    host: '127.0.0.1',
    port: 0,
    switches: ['127.0.0.1'],
    ports: { first: 13_000 + 100 * legCount, last: 13_099 + 100 * legCount++ },
    defaults: { fallbackExtension: '200' },
    gateway: new OverHttpGateway({ urls, apiKey, leadMs: 80, log }),
    metrics: new LegMetrics(new Registry(), 'voice_gateway_'),
    log,
  });
  await legs.listen();
  closers.push(() => legs.close());
  return legs;
}

function place(legs: LegServer, options: SwitchCallOptions = {}): Promise<SwitchCall> {
  return SwitchCall.place(legs.port!, { ...options, variables: { ai_agent_ref: 'quiet', ...options.variables } });
}

function said(utterance: Parameters<typeof speech>[0], call: SwitchCall): Uint8Array {
  const pcm = { encoding: 'pcm16', sampleRateHz: 16_000 } as const;
  return convertWhole(Buffer.concat([speech(utterance), silence(800)]), pcm, call.format);
}

async function transcriptOf(callId: string, at = gateway): Promise<string[]> {
  return (await new TestCall(at.url, callId, { 'x-api-key': KEY }).end()).body.summary.transcript;
}

// They take as long as what is said in them: at once, not one after the other.
describe.concurrent('a leg beside the switch, with a gateway somewhere else', () => {
  it('carries a conversation, keys, and what the agent does with the call', async () => {
    const legs = await openLeg([gateway.url]);
    await eventually(() => legs.refusal === undefined);
    const talking = await place(legs);
    const leaving = await place(legs, { variables: { ai_agent_ref: 'customer-care-voice' } });
    // A greeting that is talked into would be interrupted, and what is said be another turn.
    const { durationMs } = manifest.agentLines['greeting'] ?? { durationMs: 3_000 };
    await eventually(() => talking.legAudio !== undefined && leaving.soundMs > durationMs * 0.8);
    await new Promise((resolve) => setTimeout(resolve, 800));
    await Promise.all([talking.say(said('order', talking)), leaving.say(said('person', leaving))]);
    await eventually(() => talking.soundMs > manifest.agentLines['order-status']!.durationMs * 0.6);
    expect(await leaving.left.promise).toBe('transfer 200 XML public');
    expect(leaving.channel.variables.get('ai_result')).toBe('transferred');
    talking.press('#');
    talking.hangUp();
    await eventually(() => legs.active === 0);
    const transcript = await transcriptOf(talking.channel.uuid);
    expect(transcript.slice(0, 1)).toEqual([userLine('order')]);
    expect(transcript[1]!.slice(0, 12)).toBe(aiLine('order-status').slice(0, 12));
  });

  it('takes the call up again where the connection breaks, with what had not been heard', async () => {
    const line = await cable();
    const call = await place(await openLeg([line.url]));
    await eventually(() => call.legAudio !== undefined);
    await call.say(said('returns', call));
    await eventually(() => call.soundMs > 1000);
    line.break();
    const { durationMs } = manifest.agentLines['long-explanation']!;
    await eventually(() => call.soundMs > durationMs * 0.8);
  });

  it.each(['refused', 'silent'])('goes to the fallback within 3 s of losing the gateway: %s', async (how) => {
    const line = await cable();
    const call = await place(await openLeg([line.url]));
    await eventually(() => call.heard.length > 20);
    const lostAtMs = performance.now();
    line.isCut = true;
    if (how === 'refused') line.break();
    else line.freeze();
    expect(await call.left.promise).toBe('transfer 200 XML public');
    // 3 s, and what a machine that is busy with other tests takes.
    expect(performance.now() - lostAtMs).toBeLessThan(6_000);
    expect(call.channel.variables.get('ai_fallback_reason')).toMatch(/^the gateway does not answer/);
  });

  it('goes on with the next gateway where the first is lost', async () => {
    const line = await cable();
    const second = await cable(other);
    const call = await place(await openLeg([line.url, second.url]));
    await eventually(() => call.heard.length > 20);
    for (const each of [line, second]) {
      each.isCut = each === line;
      if (each === line) each.break();
    }
    await call.say(said('order', call));
    await eventually(() => call.soundMs > 500);
    call.hangUp();
    await eventually(() => !call.isConnected);
  });

  it('goes to the fallback with a wrong key, and at once', async () => {
    const call = await place(await openLeg([gateway.url], 'wrong-key'));
    expect(await call.left.promise).toBe('transfer 200 XML public');
    expect(call.channel.variables.get('ai_fallback_reason')).toBe('no session: 403 the API key is not known here');
  });

  it('sends its calls to their fallback when it stops', async () => {
    const legs = await openLeg([gateway.url]);
    const call = await place(legs);
    await eventually(() => call.heard.length > 5);
    legs.drain();
    expect(legs.refusal).toBe('it is shutting down');
    await expect(SwitchCall.place(legs.port!)).rejects.toThrow();
    const packets = call.heard.length;
    await eventually(() => call.heard.length > packets + 5);
    await legs.close();
    expect(await call.left.promise).toBe('transfer 200 XML public');
    expect(legs.active).toBe(0);
  });
});
