import { describe, expect, it } from 'vitest';
import { threadProfile } from '../../loadtest/profiles.ts';

const node = (id: number, functionName: string, url = '', lineNumber = 0) => ({
  id,
  callFrame: { functionName, url, lineNumber },
});

describe('a thread profile', () => {
  it('adds up the time between samples by function, and keeps idling apart', () => {
    const profile = threadProfile('main', {
      nodes: [
        node(1, '(idle)'),
        node(2, 'take', 'file:///app/dist/main/outbox.js', 9),
        node(3, '', 'node:internal/timers', 4),
        node(4, '(garbage collector)'),
        node(5, 'take', 'file:///app/dist/main/outbox.js', 9),
      ],
      samples: [1, 2, 3, 2, 4, 5],
      timeDeltas: [5_000, 2_000, 1_000, 2_000, 500, 1_000],
    });
    expect(profile.idleMs).toBe(5);
    expect(profile.busyMs).toBe(6.5);
    expect(profile.functions).toEqual([
      { name: 'take main/outbox.js:10', selfMs: 5 },
      { name: '(anonymous) node:internal/timers:5', selfMs: 1 },
      { name: '(garbage collector)', selfMs: 0.5 },
    ]);
  });
});
