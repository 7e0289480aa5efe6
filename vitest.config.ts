import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Tests of the Lua client play whole calls on a 20 ms clock: they run when nothing else does. */
const REAL_TIME = ['test/lua/**/*.test.ts'];

/** Those that take longest begin first: one that began last would hold up the end by itself. */
const SLOWEST = [
  'loadtest/run',
  'integration/api-operations',
  'integration/api-sessions',
  'integration/delivery-property',
  'integration/api-delivery',
  'integration/conversation-rotation',
  'integration/conversation-workers',
  'integration/duplex',
  'backend/summary-delivery',
  'integration/half-duplex',
  'fuzz/fuzz',
  'chaos/chaos',
].map((name) => `test/${name}.test.ts`);

class SlowestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const place = SLOWEST.findIndex((name) => moduleId.endsWith(name));
      return place < 0 ? SLOWEST.length : place;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

const shared = {
  // Real sockets and real threads share two cores with whatever else runs on the machine: bounds are generous.
  testTimeout: 60_000,
  hookTimeout: 60_000,
  expect: { poll: { timeout: 20_000 } },
  pool: 'forks' as const,
};

export default defineConfig({
  test: {
    sequence: { sequencer: SlowestFirst },
    projects: [
      {
        test: {
          ...shared,
          name: 'fast',
          // Three files at once on two cores: a call may be served late once. Twice is a fault.
          retry: 1,
          include: ['test/**/*.test.ts'],
          exclude: REAL_TIME,
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...shared,
          name: 'real-time',
          include: REAL_TIME,
          maxWorkers: 1,
          // A machine that stands still for a second spoils such a call, as it would on a switch.
          retry: 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
