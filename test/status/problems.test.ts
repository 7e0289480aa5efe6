import { describe, expect, it } from 'vitest';
import type { StatusFacts } from '../../src/status/facts.ts';
import { problemsOf } from '../../src/status/problems.ts';
import { ConnectRecord } from '../../src/upstream/connect-record.ts';

const WELL: StatusFacts = {
  version: '0.1.0',
  uptimeSeconds: 1,
  isDraining: false,
  upstream: { kind: 'openai', connects: { ok: 3, failed: 0, failedInARow: 0 } },
  store: { isUp: true, unwritten: 0, byteCount: 1 },
  backend: { isSet: true, isFailing: false, summariesPending: 3 },
  cluster: { isShared: false, isDirectoryUp: true, nodes: 1 },
  load: {
    sessions: { now: 449, limit: 500 },
    eventLoopMs: { now: 1, limit: 100 },
    poolQueue: { now: 0, limit: 64 },
    rssMb: { now: 200, limit: 4000 },
    descriptors: { now: 0 },
    cpuCores: { now: 1.9, limit: 2 },
  },
  agents: [{ ref: 'a', isUsable: true }],
};
const textsOf = (facts: Partial<StatusFacts>) => problemsOf({ ...WELL, ...facts }).map(({ text }) => text);

describe('what is wrong', () => {
  it('is nothing when nothing is', () => {
    expect(problemsOf(WELL)).toEqual([]);
  });

  it('is said in words, the worst on top', () => {
    const problems = problemsOf({
      ...WELL,
      backend: { isSet: true, isFailing: true, summariesPending: 2 },
      store: { isUp: false, unwritten: 12, byteCount: 1 },
      upstream: { kind: 'openai', connects: { ok: 0, failed: 4, failedInARow: 4, lastFailure: 'refused' } },
      agents: [{ ref: 'sales', isUsable: false, problem: 'sales.json: instructions is missing' }],
    });
    expect(problems.map(({ severity, text }) => `${severity}: ${text}`)).toEqual([
      'critical: The AI took none of the last 4 connections: it refuses them: look at the key, the model and the quota.',
      'critical: The disk does not take what is kept of calls: only memory has 12 calls.',
      'critical: The agent sales is not there, and calls for it are refused, because its file cannot be used: sales.json: instructions is missing',
      'warning: The W3 backend does not answer as it should; it is to be told of 2 calls still.',
    ]);
  });

  it('is why calls are refused, and not once more what is over its limit', () => {
    const load = { ...WELL.load, rssMb: { now: 5000, limit: 4000 } };
    expect(textsOf({ load, refusal: 'it uses 5000 MB of memory, its limit is 4000' })).toEqual([
      'New calls are refused: it uses 5000 MB of memory, its limit is 4000.',
    ]);
    expect(textsOf({ load: { ...load, rssMb: { now: 3700, limit: 4000 } } })).toEqual([
      '3700 of 4000 MB of memory: little is left.',
    ]);
    expect(textsOf({ isDraining: true })).toEqual([
      'The gateway is shutting down: no new calls are taken, 449 calls go on.',
    ]);
  });
});

it('connections count for five minutes, and failures in a row until one succeeds', () => {
  let nowMs = 0;
  const record = new ConnectRecord(() => nowMs);
  record.ended('ok');
  record.ended('timeout');
  record.ended('given_up');
  nowMs = 200_000;
  record.ended('unavailable');
  expect(record.report).toEqual({
    ok: 1,
    failed: 2,
    failedInARow: 2,
    lastFailure: 'unavailable',
    lastFailureAgoMs: 0,
  });
  nowMs = 400_000;
  expect(record.report).toMatchObject({ ok: 0, failed: 1, failedInARow: 2 });
  record.ended('ok');
  expect(record.report).toMatchObject({ ok: 1, failed: 1, failedInARow: 0 });
});
