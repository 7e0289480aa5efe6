import { afterAll, beforeAll, expect, it } from 'vitest';
import { campaign } from './campaign.ts';
import { ChaosLab } from './lab.ts';
import { sampleOf } from './matrix.ts';

const CASES = 30;
const CALLS = 16;
const SEED = 20_261_128;

let lab: ChaosLab;
beforeAll(async () => {
  lab = await ChaosLab.open({ calls: CALLS, sessionWorkers: '2', innocents: 1 });
});
afterAll(() => lab.close());

it(`${CASES} events of the AI's server that go wrong harm no call`, async () => {
  const matrix = await lab.matrix();
  expect(matrix.length).toBeGreaterThan(5_000);
  const results = await campaign(lab, sampleOf(matrix, CASES, SEED), CALLS);
  const wrong = results.filter(({ violations }) => violations.length > 0);
  expect(wrong.map(({ chaosCase, violations }) => ({ case: chaosCase.id, violations }))).toEqual([]);
  expect(lab.complaints).toEqual([]);
  expect(lab.deaths).toEqual([]);
  expect(lab.innocentCalls).toBeGreaterThan(0);
  // The mutations did happen: now and then a call takes another way than the recorded one.
  expect(results.filter(({ verdict }) => verdict.struckAtMs !== undefined).length).toBeGreaterThan(CASES / 2);
}, 120_000);
