import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Status } from '../../src/bus/index.ts';
import {
  CUT_OFF_REASONS,
  DIRECTIONS,
  FORWARD_OUTCOMES,
  LEG_OUTCOMES,
  LEG_PACKET_FATES,
  LEG_REFUSALS,
  LET_GO_REASONS,
  RECONNECT_REASONS,
  RECORDING_OUTCOMES,
  REJECTED_REASONS,
  REPAIR_KINDS,
  SESSION_OUTCOMES,
  SUMMARY_OUTCOMES,
  TAKEOVER_REASONS,
  TOOL_OUTCOMES,
  TRACE_OUTCOMES,
  UNUSABLE_REASONS,
  UPSTREAM_ERROR_CLASSES,
} from '../../src/metrics/labels.ts';
import { TOKEN_TYPES } from '../../src/upstream/usage.ts';
import { GatewayService, SessionWorkerService } from '../../src/workers/session/service.ts';
import { StoreHostService, StoreService } from '../../src/workers/store/service.ts';
import { http } from '../support/call.ts';
import type { TestGateway } from '../support/gateway.ts';
import { CALLER_NUMBER, scrapeAfterCalls, startObserved } from './support/calls.ts';
import { type Family, readExposition } from './support/exposition.ts';
import { HAS_PROMTOOL, promtool } from './support/promtool.ts';

let gateway: TestGateway;
let text: string;
let families: Map<string, Family>;

beforeAll(async () => {
  gateway = await startObserved();
  text = await scrapeAfterCalls(gateway);
  families = readExposition(text);
});
afterAll(() => gateway.stop());

function family(name: string): Family {
  const found = families.get(`voice_gateway_${name}`);
  if (!found) throw new Error(`${name} is not exposed`);
  return found;
}

/** The value of the series with these labels; 0 without one, as for Prometheus's increase. */
function total(name: string, labels: Record<string, string> = {}, suffix = ''): number {
  const series = family(name).samples.filter(
    (sample) =>
      sample.name === `voice_gateway_${name}${suffix}` &&
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  return series.reduce((sum, { value }) => sum + value, 0);
}

const METHODS = [SessionWorkerService, GatewayService, StoreService, StoreHostService].flatMap(({ name, methods }) =>
  Object.keys(methods).map((method) => `${name}.${method}`),
);

/** Label sets by metric, and every value each label may take where that is known. */
const LABELS: Record<string, Record<string, readonly string[] | undefined>> = {
  sessions_active: {},
  sessions_limit: {},
  sessions_total: { outcome: SESSION_OUTCOMES },
  session_duration_seconds: {},
  session_setup_seconds: {},
  session_workers: { state: ['busy', 'spare'] },
  session_workers_lost_total: {},
  session_worker_busy_seconds_total: {},
  main_thread_busy_seconds_total: {},
  cpus: {},
  info: { version: undefined, node: undefined, upstream: ['openai', 'simulator'], session_workers: undefined },
  uplink_latency_seconds: {},
  downlink_latency_seconds: {},
  outbox_wait_seconds: {},
  recordings_total: { outcome: RECORDING_OUTCOMES },
  outbox_audio_seconds: {},
  turn_latency_seconds: {},
  barge_in_reaction_seconds: {},
  interruptions_total: {},
  audio_pool_task_seconds: { task: ['up', 'down', 'mixed'] },
  audio_pool_queue_depth: {},
  audio_seconds_total: { direction: DIRECTIONS },
  audio_rejected_total: { reason: REJECTED_REASONS },
  bus_call_seconds: { method: undefined },
  bus_calls_total: { method: undefined, code: undefined },
  upstream_connect_seconds: {},
  upstream_outage_seconds: {},
  upstream_reconnects_total: { reason: RECONNECT_REASONS },
  upstream_errors_total: { class: UPSTREAM_ERROR_CLASSES },
  upstream_events_unusable_total: { reason: UNUSABLE_REASONS },
  upstream_repairs_total: { kind: REPAIR_KINDS },
  upstream_tokens_total: { type: TOKEN_TYPES, model: undefined },
  upstream_billed_seconds_total: { model: undefined },
  cost_total: { tenant: undefined, agent: undefined },
  unpriced_total: { model: undefined },
  call_cost: {},
  tenant_budget_used_ratio: { tenant: undefined },
  tool_calls_total: { outcome: TOOL_OUTCOMES },
  tool_call_seconds: {},
  trace_spans_total: { outcome: TRACE_OUTCOMES },
  summaries_total: { outcome: SUMMARY_OUTCOMES },
  summaries_pending: {},
  duplex_connections: { direction: ['up', 'down'] },
  duplex_late_seconds: {},
  duplex_underruns_total: {},
  duplex_cut_off_total: { reason: CUT_OFF_REASONS },
  legs_active: {},
  legs_total: { outcome: LEG_OUTCOMES },
  leg_packets_total: { fate: LEG_PACKET_FATES },
  leg_late_seconds: {},
  leg_jitter_seconds: {},
  leg_connections_refused_total: { reason: LEG_REFUSALS },
  store_up: {},
  cluster_nodes: {},
  cluster_directory_up: {},
  cluster_calls_unregistered: {},
  cluster_forwarded_total: { outcome: FORWARD_OUTCOMES },
  cluster_takeovers_total: { reason: TAKEOVER_REASONS },
  cluster_takeover_seconds: {},
  cluster_calls_let_go_total: { reason: LET_GO_REASONS },
  store_unwritten: {},
  store_failures_total: {},
  store_size_bytes: {},
  http_request_duration_seconds: { method: undefined, route: undefined, status: undefined },
};

describe('the scrape after calls', () => {
  it('has every family, each with help and a type, and no other', () => {
    const ours = [...families.values()].filter(({ name }) => name.startsWith('voice_gateway_'));
    expect(ours.map(({ name }) => name.slice('voice_gateway_'.length)).sort()).toEqual(Object.keys(LABELS).sort());
    for (const { name, help, type } of ours) {
      expect(help, name).not.toBe('');
      expect(type, name).toMatch(name.endsWith('_total') ? /^counter$/ : /^(gauge|histogram)$/);
    }
    for (const name of [
      'process_cpu_seconds_total',
      'process_resident_memory_bytes',
      'nodejs_eventloop_lag_p99_seconds',
    ]) {
      expect(families.has(name), name).toBe(true);
    }
  });

  it('has the labels that are documented and no value outside their lists', () => {
    for (const [name, labels] of Object.entries(LABELS)) {
      for (const sample of family(name).samples) {
        const found = Object.keys(sample.labels).filter((label) => label !== 'le');
        expect(found.sort(), sample.name).toEqual(Object.keys(labels).sort());
        for (const [label, values] of Object.entries(labels)) {
          if (values) expect(values, `${sample.name} ${label}`).toContain(sample.labels[label]);
        }
      }
    }
  });

  it('starts counters with known labels at 0, so that the first event counts', () => {
    for (const outcome of SESSION_OUTCOMES) {
      expect(family('sessions_total').samples.filter(({ labels }) => labels['outcome'] === outcome)).toHaveLength(1);
    }
    expect(total('sessions_total', { outcome: 'max_duration' })).toBe(0);
  });

  it('counts what happened', () => {
    expect(total('sessions_total', { outcome: 'completed' })).toBe(3);
    expect(total('sessions_total', { outcome: 'transferred' })).toBe(1);
    expect(total('sessions_total', { outcome: 'agent_not_found' })).toBe(1);
    expect(total('session_duration_seconds', {}, '_count')).toBe(4);
    expect(total('session_setup_seconds', {}, '_count')).toBe(4);
    expect(total('upstream_connect_seconds', {}, '_count')).toBe(4);
    expect(total('interruptions_total')).toBeGreaterThanOrEqual(1);
    expect(total('barge_in_reaction_seconds', {}, '_count')).toBe(total('interruptions_total'));
    expect(total('upstream_reconnects_total', { reason: 'lost' })).toBe(1);
    expect(total('upstream_outage_seconds', {}, '_count')).toBe(1);
    expect(total('tool_calls_total', { outcome: 'ok' })).toBe(1);
    expect(total('turn_latency_seconds', {}, '_count')).toBeGreaterThanOrEqual(3);
    for (const reason of ['missing', 'late', 'repeat', 'odd_length']) {
      expect(total('audio_rejected_total', { reason }), reason).toBe(1);
    }
    for (const type of ['input_audio', 'output_text', 'output_audio']) {
      expect(total('upstream_tokens_total', { type, model: 'gpt-realtime-2.1' }), type).toBeGreaterThan(0);
    }
    expect(total('upstream_billed_seconds_total', { model: 'gpt-transcribe' })).toBeGreaterThan(0);
    expect(total('cost_total', { tenant: 'default', agent: 'brief' })).toBeGreaterThan(0);
    expect(total('unpriced_total', { model: 'our-own-ears' })).toBeGreaterThan(0);
    expect(total('call_cost', {}, '_count')).toBeGreaterThan(0);
    expect(total('tenant_budget_used_ratio', { tenant: 'default' })).toBeCloseTo(total('cost_total') / 1000, 9);
    // 4.5 s asked, 2.5 + 1 and 4 + 1 s interrupting, 4.5 s dropped, 2 chunks; what comes after a transfer is no audio
    // of the call any more.
    expect(total('audio_seconds_total', { direction: 'up' })).toBeGreaterThan(16);
    expect(total('audio_seconds_total', { direction: 'up' })).toBeLessThan(17.75);
    expect(total('audio_seconds_total', { direction: 'down' })).toBeGreaterThan(3);
  });

  it('measures each hop where it happens, in seconds', () => {
    const sent = total('uplink_latency_seconds', {}, '_count');
    expect(sent).toBeGreaterThan(150);
    for (const name of ['uplink_latency', 'downlink_latency', 'outbox_wait', 'turn_latency', 'barge_in_reaction']) {
      const mean = total(`${name}_seconds`, {}, '_sum') / total(`${name}_seconds`, {}, '_count');
      expect(mean, name).toBeGreaterThan(0);
      expect(mean, name).toBeLessThan(10);
    }
    expect(total('main_thread_busy_seconds_total')).toBeGreaterThan(0);
    expect(total('session_worker_busy_seconds_total')).toBeGreaterThan(0);
  });

  it('has histograms whose buckets rise to the count, with edges at the objectives', () => {
    for (const { name, type, samples } of families.values()) {
      if (type !== 'histogram') continue;
      const series = Map.groupBy(
        samples.filter((sample) => sample.name === `${name}_bucket`),
        ({ labels: { le: _, ...labels } }) => JSON.stringify(labels),
      );
      for (const [labels, buckets] of series) {
        const values = buckets.map(({ value }) => value);
        expect(values, name).toEqual(values.toSorted((a, b) => a - b));
        expect(buckets.at(-1)?.labels['le']).toBe('+Inf');
        const count = samples.find(
          (sample) => sample.name === `${name}_count` && JSON.stringify(sample.labels) === labels,
        );
        expect(count?.value, name).toBe(values.at(-1));
      }
    }
    const edges = (name: string) => family(name).samples.flatMap(({ labels }) => labels['le'] ?? []);
    expect(edges('uplink_latency_seconds')).toEqual(expect.arrayContaining(['0.003', '0.02']));
    expect(edges('downlink_latency_seconds')).toEqual(expect.arrayContaining(['0.003', '0.02']));
    expect(edges('barge_in_reaction_seconds')).toContain('0.2');
  });

  it('leaves streams out of the latency of calls between threads, and counts them', () => {
    expect(total('bus_calls_total', { method: 'session.uplink' })).toBe(4);
    expect(total('bus_call_seconds', { method: 'session.uplink' }, '_count')).toBe(0);
    expect(total('bus_call_seconds', { method: 'session.open' }, '_count')).toBe(4);
  });

  it('labels calls between threads by declared methods and canonical codes only', () => {
    for (const { labels } of family('bus_calls_total').samples) {
      expect(METHODS).toContain(labels['method']);
      expect(Object.values(Status)).toContain(labels['code']);
    }
    for (const { labels } of family('bus_call_seconds').samples) expect(METHODS).toContain(labels['method']);
  });

  it('labels requests by route patterns and known methods only', () => {
    const { samples } = family('http_request_duration_seconds');
    const routes = new Set(samples.map(({ labels }) => labels['route']));
    expect(routes).toContain('/api/voice/stream/:callId');
    for (const callId of ['call-asking', 'call-interrupting', 'call-dropped', 'call-untidy'])
      expect(text).not.toContain(callId);
    expect(text).not.toContain('no/such');
    expect(text).not.toContain('PROPFIND');
    expect(total('http_request_duration_seconds', { route: 'unknown', method: 'GET', status: '404' }, '_count')).toBe(
      1,
    );
    expect(total('http_request_duration_seconds', { method: 'other' }, '_count')).toBe(1);
  });

  it('names no caller, tenant or key', () => {
    expect(text).not.toContain(CALLER_NUMBER);
    expect(text).not.toContain('test-key-of-the-simulator');
    expect(text).not.toMatch(/^(?!voice_gateway_(cost_total|tenant_budget_used_ratio)).*tenant="/m);
  });

  it('is the classic text format, whatever the client would accept', async () => {
    const accept = 'application/openmetrics-text; version=1.0.0,text/plain;version=0.0.4;q=0.5';
    const answer = await http('GET', `${gateway.url}/metrics`, undefined, { accept });
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(answer.body).not.toContain('# EOF');
    expect(readExposition(answer.body).has('voice_gateway_sessions_total')).toBe(true);
  });

  it('is documented: every metric with its labels, and the values they take', () => {
    const docs = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
    const rows = new Map(
      [...docs.matchAll(/^\| `([a-z_]+)` \| ([^|]*)\| (.*) \|$/gm)].map(([, name, labels, text]) => [
        name!,
        { labels: [...labels!.matchAll(/`(\w+)`/g)].map(([, label]) => label!).sort(), text: text! },
      ]),
    );
    for (const [name, labels] of Object.entries(LABELS)) {
      expect(rows.get(name)?.labels, name).toEqual(Object.keys(labels).sort());
      for (const value of Object.values(labels).flatMap((values) => values ?? [])) {
        const isShown =
          rows.get(name)?.text.includes(`\`${value}\``) || value.startsWith('upstream_') || name === 'info';
        expect(isShown, `${name} ${value}`).toBe(true);
      }
    }
  });

  it.skipIf(!HAS_PROMTOOL)('passes promtool', () => {
    const { output } = promtool(['check', 'metrics'], text);
    // Gauges of Node's that prom-client names like counters are known and not ours to rename.
    const ours = output.split('\n').filter((line) => line !== '' && !/^nodejs_active_\w+_total non-counter/.test(line));
    expect(ours).toEqual([]);
  });
});
