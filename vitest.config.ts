import { defineConfig } from 'vitest/config';

/** Tests of the Lua client play whole calls on a 20 ms clock: they run when nothing else does. */
const REAL_TIME = ['test/lua/**/*.test.ts'];

const shared = {
  // Real sockets and real threads share two cores with whatever else runs on the machine: bounds are generous.
  testTimeout: 60_000,
  hookTimeout: 60_000,
  expect: { poll: { timeout: 20_000 } },
  pool: 'forks' as const,
};

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...shared,
          name: 'fast',
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
