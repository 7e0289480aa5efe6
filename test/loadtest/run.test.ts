import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { defaultJitterMs, type LoadOptions } from '../../loadtest/options.ts';
import { reportText } from '../../loadtest/report.ts';
import { reportHtml } from '../../loadtest/report-html.ts';
import { runLoad } from '../../loadtest/run.ts';
import { parseSlo } from '../../loadtest/slo.ts';
import type { SimulatorMode } from '../../src/simulator/server.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

const KEY = 'the key of a load test';
let gateway: TestGateway | undefined;

afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
});

async function options(simulator: SimulatorMode, more: Partial<LoadOptions> = {}): Promise<LoadOptions> {
  gateway = await startGateway({
    simulator: { mode: simulator },
    profiles: { quiet: QUIET_PROFILE },
    env: { W3_VOICE_GATEWAY_API_KEY: KEY, SESSION_WORKERS: '1' },
  });
  return {
    calls: 3,
    wavFiles: [fileURLToPath(new URL('../../fixtures/calls/order-status-16k.wav', import.meta.url))],
    chunkMs: 100,
    mode: 'longpoll',
    duplex: { leadMs: 120, frameMs: 60, tickMs: 40 },
    keepAlive: true,
    overlap: 'no',
    acknowledges: true,
    body: 'json',
    rampPerSecond: 10,
    durationMs: 4_000,
    warmUpMs: 1_000,
    format: { encoding: 'pcm16', sampleRateHz: 16_000 },
    expectation: 'loopback',
    pollTimeoutMs: 2_000,
    requestTimeoutMs: 20_000,
    // The machine may be busy; what is late is not lost.
    jitterMs: defaultJitterMs(100, 'longpoll') + 2_000,
    generators: 2,
    aiAgentRef: 'quiet',
    url: gateway.url,
    apiKey: KEY,
    build: false,
    sessionWorkers: 1,
    deltaMs: 0,
    tls: false,
    nodeArgs: [],
    slos: [],
    ...more,
  };
}

describe('a load test against a gateway', () => {
  it('plays its calls, hears all of what it sent, and ends them', async () => {
    const slos = ['errors=0', 'lost_samples=0', 'cpu_per_call=0%'].map(parseSlo);
    // Longer than the five seconds from one of a worker's reports to the next.
    const report = await runLoad(await options('loopback', { slos, durationMs: 8_000 }));
    const { counters, timings, slos: results } = report;
    expect(report.errors).toEqual({});
    expect(counters).toMatchObject({ callsStarted: 3, callsEnded: 3, callsLost: 0, lostSamples: 0 });
    // Each call speaks for at least four seconds.
    expect(counters.exactSamples).toBeGreaterThan(3 * 3.5 * 16_000);
    expect(timings.stream.count).toBeGreaterThan(0);
    expect(timings.e2e.count).toBeGreaterThan(0);
    expect(report.steadySeconds).toBeGreaterThan(0);
    expect(report.gateway.cpuPercentPerCall).toBeGreaterThan(0);
    expect(report.gateway.uplink!.count).toBeGreaterThan(0);
    expect(report.gateway.downlink!.count).toBeGreaterThan(0);
    expect(results.map(({ met }) => met)).toEqual([true, true, false]);
    expect(gateway!.daemon.gateway.health().sessions).toBe(0);
    expect(reportText(report)).toContain('errors:         none of');
    expect(reportHtml(report)).toContain('<div class="chart"');
  });

  it('carries both directions in one request, unencoded, over new connections', async () => {
    const report = await runLoad(
      await options('loopback', { mode: 'poll1', keepAlive: false, body: 'raw', generators: 1 }),
    );
    expect(report.errors).toEqual({});
    expect(report.counters).toMatchObject({ lostSamples: 0, callsEnded: 3 });
    expect(report.counters.exactSamples).toBeGreaterThan(3 * 3.5 * 16_000);
  });

  it.each([
    ['pcmu', 8_000],
    ['pcm16', 16_000],
  ] as const)('streams both directions in one request, %s', async (encoding, sampleRateHz) => {
    const slos = ['underruns=1000000', 'arrival_p99=1h', 'barge_in_p99=1s'].map(parseSlo);
    const report = await runLoad(
      await options('loopback', { mode: 'duplex', chunkMs: 20, format: { encoding, sampleRateHz }, slos }),
    );
    const { counters, timings } = report;
    expect(report.errors).toEqual({});
    expect(counters).toMatchObject({ callsStarted: 3, callsEnded: 3, callsLost: 0, requests: 3, lostSamples: 0 });
    expect(counters.exactSamples).toBeGreaterThan(3 * 3 * sampleRateHz);
    expect(timings.arrival.count).toBeGreaterThan(0);
    expect(timings.e2e.count).toBeGreaterThan(0);
    expect(report.slos.map(({ met }) => met)).toEqual([true, true, false]);
    expect(gateway!.daemon.gateway.health().sessions).toBe(0);
    expect(reportText(report)).toMatch(/^stream: +\d+ underruns/m);
    expect(reportHtml(report)).toContain('behind its schedule');
  });

  it('knows the lines of a streamed script from its summary', async () => {
    const report = await runLoad(
      await options('scripted', {
        mode: 'duplex',
        chunkMs: 20,
        expectation: 'scripted',
        aiAgentRef: undefined,
        calls: 1,
        generators: 1,
        wavFiles: [fileURLToPath(new URL('../../fixtures/calls/interrupter-greeting-16k.wav', import.meta.url))],
        durationMs: 16_000,
      }),
    );
    expect(report.errors).toEqual({});
    expect(report.counters).toMatchObject({ callsLost: 0, missingLines: 0, foreignLines: 0, unknownLines: 0 });
    expect(report.counters.linesChecked).toBeGreaterThanOrEqual(3);
    expect(report.counters.heardMs).toBeGreaterThan(1_000);
  });

  it.each([
    ['over several connections', 'connections', true],
    ['on one connection, without acknowledging', 'pipelined', false],
  ] as const)('does not wait for answers, %s', async (_, overlap, acknowledges) => {
    const report = await runLoad(await options('loopback', { mode: 'poll1', overlap, acknowledges, generators: 1 }));
    expect(report.errors).toEqual({});
    expect(report.counters).toMatchObject({ lostSamples: 0, callsEnded: 3, closedConnections: 0, heldBack: 0 });
    expect(report.counters.exactSamples).toBeGreaterThan(3 * 3.5 * 16_000);
    expect(report.setup).toMatchObject({ overlap });
  });

  it('tells a streamed call that is refused by the code it got', async () => {
    const report = await runLoad(
      await options('loopback', { mode: 'duplex', chunkMs: 20, durationMs: 1_500, aiAgentRef: 'nobody' }),
    );
    expect(report.counters.callsStarted).toBe(0);
    expect(Object.keys(report.errors)).toEqual(['duplex 404 agent_not_found']);
  });

  it('notices when what it hears is not what it sent', async () => {
    const report = await runLoad(await options('scripted', { durationMs: 2_500, aiAgentRef: undefined }));
    const { lostSamples, alteredSamples, exactSamples } = report.counters;
    expect(exactSamples).toBe(0);
    expect(lostSamples + alteredSamples).toBeGreaterThan(0);
    expect(report.slos).toEqual([]);
  });

  it('counts requests that fail by what they got, and goes on', async () => {
    const report = await runLoad(await options('loopback', { durationMs: 1_500, aiAgentRef: 'nobody' }));
    expect(report.counters.callsStarted).toBe(0);
    expect(Object.keys(report.errors)).toEqual(['create 404 agent_not_found']);
    expect(report.errors['create 404 agent_not_found']).toBeGreaterThanOrEqual(3);
    expect(report.measured.errors).toBeGreaterThanOrEqual(3);
  });

  it('ends its calls when it is interrupted, and reports what it has', async () => {
    const stopped = new AbortController();
    const report = await runLoad(await options('loopback', { durationMs: 600_000 }), {
      signal: stopped.signal,
      onProgress: ({ calls }) => {
        if (calls === 3) stopped.abort();
      },
    });
    expect(report.isInterrupted).toBe(true);
    expect(report.counters.callsEnded).toBe(3);
    expect(gateway!.daemon.gateway.health().sessions).toBe(0);
  });
});
