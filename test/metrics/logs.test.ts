import { Writable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { CallObserver } from '../../src/call/record/observer.ts';
import { Budgets } from '../../src/costs/budgets.ts';
import { CallCosts } from '../../src/costs/call-costs.ts';
import { Prices } from '../../src/costs/prices.ts';
import { createLog } from '../../src/main/log.ts';
import { Metrics } from '../../src/metrics/metrics.ts';
import { http, TestCall } from '../support/call.ts';
import type { TestGateway, TestGatewayOptions } from '../support/gateway.ts';
import {
  askingCall,
  CALLER_NUMBER,
  droppedCall,
  eventsOf,
  interruptingCall,
  startObserved,
  untidyCall,
} from './support/calls.ts';

const OPERATOR_KEY = 'operator"key\\with-marks';
const UPSTREAM_KEY = 'sk-upstream-4711-0815';
const CALLER_HASH_KEY = 'sixteen-characters-or-more';
const SECRETS = [OPERATOR_KEY, UPSTREAM_KEY, CALLER_HASH_KEY];

/** Log lines, as text and as what they say. */
class Lines extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }

  // biome-ignore lint/suspicious/noExplicitAny: lines have many fields
  get all(): any[] {
    return this.text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  }

  /** Lines of one call. */
  of(callId: string) {
    return this.all.filter((line) => line.callId === callId);
  }
}

let gateway: TestGateway | undefined;
afterEach(async () => {
  await gateway?.stop();
});

async function start(level: string, options: TestGatewayOptions = {}): Promise<{ gateway: TestGateway; lines: Lines }> {
  const lines = new Lines();
  const log = createLog({ level, secrets: SECRETS, destination: lines });
  gateway = await startObserved({ ...options, log });
  return { gateway, lines };
}

describe('the log at info', () => {
  it('has one line for each thing that happens on a call, with its callId and tenantId', async () => {
    const { gateway, lines } = await start('info');
    await askingCall(gateway, 'asking');
    await interruptingCall(gateway, 'interrupting');
    await droppedCall(gateway, 'dropped');
    await untidyCall(gateway, 'untidy');
    const said = (callId: string) => lines.of(callId).map(({ msg }) => msg);
    expect(said('asking').filter((msg) => msg !== 'interrupted')).toEqual([
      'call started',
      'ready',
      'first audio',
      'call ended',
    ]);
    expect(said('interrupting')).toEqual(['call started', 'ready', 'first audio', 'interrupted', 'tool', 'call ended']);
    expect(said('dropped').filter((msg) => msg !== 'first audio')).toEqual([
      'call started',
      'ready',
      'upstream connection lost',
      'reconnected',
      'call ended',
    ]);
    expect(said('untidy')).toEqual(['call started', 'ready', 'first audio', 'call ended']);
    for (const callId of ['asking', 'interrupting', 'dropped', 'untidy']) {
      for (const line of lines.of(callId)) expect(line.tenantId, line.msg).toBe('default');
    }
  });

  it('says in a call’s first line who asked for it, and in its last what came of it', async () => {
    const { gateway, lines } = await start('info');
    const requestId = 'request-of-the-switch';
    const call = await askingCall(gateway, 'asking', { 'x-request-id': requestId });
    const { sessionId, figures } = await eventsOf(call);
    expect(lines.of('asking')[0]).toMatchObject({
      msg: 'call started',
      requestId,
      sessionId,
      aiAgentRef: 'customer-care-voice',
      did: '5406594427',
      callerNumber: '…44',
      encoding: 'pcm16',
      sampleRateHz: 16_000,
    });
    const last = lines.of('asking').at(-1);
    expect(last).toMatchObject({ msg: 'call ended', endReason: 'completed', lines: 3, turns: 1, reconnects: 0 });
    expect(last).toMatchObject({ aiAgentRef: 'customer-care-voice', model: 'gpt-realtime-2.1', currency: 'USD' });
    expect(last.models.map(({ model }: { model: string }) => model)).toEqual(['gpt-realtime-2.1', 'gpt-transcribe']);
    expect(last.cost).toBeGreaterThan(0);
    expect(last).toMatchObject({ setupMs: figures.setupMs, medianTurnMs: figures.medianTurnMs, droppedChunks: 0 });
    expect(last.tokens.output_audio).toBeGreaterThan(0);
    expect(last.audioSeconds.up).toBeCloseTo(4.5, 5);
    expect(last.durationMs).toBeGreaterThan(0);
  });

  it('says why a call was turned away or could not be started', async () => {
    const { gateway, lines } = await start('info', { env: { MAX_SESSIONS: '1' } });
    const refuse = { refuseHandshake: { status: 401 } };
    gateway.simulator.nextConnection(refuse);
    const refused = new TestCall(gateway.url, 'refused');
    expect((await refused.create({ aiAgentRef: 'brief' })).status).toBe(502);
    expect(lines.of('refused').at(-1)).toMatchObject({
      msg: 'call could not be started',
      code: 'upstream_refused',
      reason: 'the upstream refused the connection with HTTP 401',
    });
    await new TestCall(gateway.url, 'only').create({ aiAgentRef: 'brief' });
    await new TestCall(gateway.url, 'too-many').create({ aiAgentRef: 'brief' });
    expect(lines.of('too-many')).toEqual([
      expect.objectContaining({ msg: 'call refused', code: 'gateway_full', tenantId: 'default', level: 40 }),
    ]);
    expect(lines.of('too-many')[0].requestId).toMatch(/^[0-9a-f-]{36}$/);
    const metrics = await http('GET', `${gateway.url}/metrics`);
    expect(metrics.body).toContain('voice_gateway_sessions_total{outcome="gateway_full"} 1');
    expect(metrics.body).toContain('voice_gateway_sessions_total{outcome="upstream_refused"} 1');
    expect(metrics.body).toContain('voice_gateway_upstream_errors_total{class="connect_refused"} 1');
  });

  it('stays short however many chunks are refused', async () => {
    const { gateway, lines } = await start('info');
    const call = new TestCall(gateway.url, 'noisy');
    await call.create({ aiAgentRef: 'brief' });
    const before = lines.all.length;
    for (let i = 0; i < 50; i++) expect((await call.send({ audio: 'AAAA' })).status).toBe(400);
    expect(lines.all).toHaveLength(before);
    await call.end();
    expect(lines.of('noisy').at(-1).droppedChunks).toBe(50);
  });

  it('says once that an upstream sends no audio, however many pieces of it come', () => {
    const lines = new Lines();
    const metrics = new Metrics();
    const costs = new CallCosts(
      { tenantId: 't', aiAgentRef: 'a', model: 'm', transcriptionModel: undefined, startedAtMs: 0 },
      { prices: Prices.open(undefined), budgets: new Budgets({ budgetOf: () => undefined, onWarning() {} }) },
      metrics,
    );
    const log = createLog({ level: 'info', destination: lines });
    const observer = new CallObserver(metrics, log, costs, { onNoted() {} });
    for (let i = 0; i < 50; i++) observer.replyRejected('odd_length', 'half a sample');
    expect(lines.all).toMatchObject([{ level: 50, msg: 'reply audio dropped', reason: 'odd_length' }]);
    expect(observer.report.events).toMatchObject([{ type: 'reply_rejected', reason: 'odd_length', count: 50 }]);
  });

  it('says nothing of workers that end with the daemon', async () => {
    const { gateway, lines } = await start('info');
    await new TestCall(gateway.url, 'last').create({ aiAgentRef: 'brief' });
    await gateway.stop();
    expect(lines.all.filter(({ level }) => level > 30)).toEqual([]);
  });
});

describe('the log at trace', () => {
  it('holds no key and no number of a caller', async () => {
    const { gateway, lines } = await start('trace', {
      env: { W3_VOICE_GATEWAY_API_KEY: OPERATOR_KEY, OPENAI_API_KEY: UPSTREAM_KEY, CALLER_HASH_KEY },
    });
    const headers = { 'x-api-key': OPERATOR_KEY };
    const asking = await askingCall(gateway, 'asking', headers);
    const bearer = new TestCall(gateway.url, 'bearer', { authorization: `Bearer ${UPSTREAM_KEY}` });
    expect((await bearer.create({ callerNumber: CALLER_NUMBER })).status).toBe(403);
    const bad = new TestCall(gateway.url, 'bad', headers);
    expect((await bad.create({ callerNumber: CALLER_NUMBER.repeat(20) })).status).toBe(400);
    gateway.simulator.nextConnection({ refuseHandshake: { status: 500 } });
    gateway.simulator.nextConnection({
      refuseSessionUpdate: { code: 'invalid_api_key', message: `bad key: ${UPSTREAM_KEY}` },
    });
    const refused = new TestCall(gateway.url, 'refused', headers);
    await refused.create({ callerNumber: CALLER_NUMBER });
    gateway.simulator.nextConnection({
      failResponses: { code: 'insufficient_quota', message: `the key ${UPSTREAM_KEY} of ${OPERATOR_KEY} is used up` },
    });
    const failing = new TestCall(gateway.url, 'failing', headers);
    await failing.create({ callerNumber: CALLER_NUMBER });
    await failing.pollUntil(({ hasMore }) => !hasMore);
    // The timeline is in it line by line.
    expect(lines.of('asking').map(({ msg }) => msg)).toEqual(
      expect.arrayContaining(['speech_stopped', 'response_started', 'first_delta', 'handed_over']),
    );
    for (const secret of SECRETS) expect(lines.text).not.toContain(JSON.stringify(secret).slice(1, -1));
    expect(lines.text).not.toContain(CALLER_NUMBER);
    // What was said is in the summary, and nowhere else.
    expect(asking.lines.length).toBeGreaterThan(2);
    for (const line of asking.lines) expect(lines.text).not.toContain(line.replace(/^\[\w+\]: /, '').slice(0, 20));
  });

  it('stays JSON however short a key is', () => {
    const lines = new Lines();
    const log = createLog({ level: 'info', secrets: ['1', '"', 'level'], destination: lines });
    log.info('listening');
    expect(lines.all).toMatchObject([{ level: 30, msg: 'listening' }]);
  });

  it('has keys taken out wherever they turn up', () => {
    const lines = new Lines();
    const log = createLog({ level: 'trace', secrets: [...SECRETS, undefined], destination: lines });
    log.info({ apiKey: 'a', nested: { authorization: 'b', callerNumber: CALLER_NUMBER } }, `with ${UPSTREAM_KEY}`);
    log.error({ err: new Error(`no ${OPERATOR_KEY}`, { cause: new Error(CALLER_HASH_KEY) }) }, 'failed');
    for (const secret of SECRETS) expect(lines.text).not.toContain(JSON.stringify(secret).slice(1, -1));
    expect(lines.all[0]).toMatchObject({
      apiKey: '[redacted]',
      nested: { authorization: '[redacted]', callerNumber: '[redacted]' },
      msg: 'with [redacted]',
    });
    expect(lines.all[1].err).toMatchObject({ message: 'no [redacted]', cause: { message: '[redacted]' } });
  });
});
