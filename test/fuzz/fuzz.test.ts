import { expect, it } from 'vitest';
import { fuzz } from './fuzzer.ts';
import { fuzzStreams } from './streams.ts';

const INPUTS = 3000;

it(`${INPUTS} strange inputs to every route do no harm`, async () => {
  const { inputs, byStatus, failures, heapGrowthBytes } = await fuzz(INPUTS, 20_260_807);
  console.log(`${inputs} inputs: ${JSON.stringify(byStatus)}, heap ${(heapGrowthBytes / 1_048_576).toFixed(1)} MB`);
  expect(failures).toEqual([]);
  expect(inputs).toBe(INPUTS);
  expect(heapGrowthBytes).toBeLessThan(32 * 1_048_576);
}, 120_000);

it('clients of streamed calls that vanish and misbehave leave nothing behind', async () => {
  const { byMishap, failures } = await fuzzStreams(20, 20_261_128, { together: 20, untilForgotten: false });
  expect(failures).toEqual([]);
  expect(Object.keys(byMishap).length).toBeGreaterThan(6);
}, 180_000);
