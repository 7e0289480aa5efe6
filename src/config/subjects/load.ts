import { Type } from 'typebox';
import { ms, subject } from '../subject.ts';

/** The threads that carry the load, and when there is too much of it. */
export const load = subject({
  title: 'Threads and load',
  variables: {
    SESSION_WORKERS: Type.String({
      pattern: '^(dedicated|[1-9][0-9]{0,2})$',
      default: 'dedicated',
      description: '`dedicated`: a worker thread a session; a number: sessions share that many threads',
    }),
    SPARE_SESSION_WORKERS: Type.Integer({
      minimum: 0,
      maximum: 64,
      default: 4,
      description: 'warm threads kept ready for the next calls (dedicated mode)',
    }),
    AUDIO_THREADS: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 64, description: 'threads of the audio pool; default: half the cores' }),
    ),
    OVERLOAD_EVENT_LOOP_MS: ms(100, 'new calls are refused while the event loop is this late on average', 1, 60_000),
    OVERLOAD_POOL_QUEUE: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 500,
      description: 'new calls are refused while this many audio jobs wait for a second',
    }),
    OVERLOAD_RSS_MB: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100_000_000,
        description:
          'new calls are refused while the process uses more megabytes; default: nine tenths of what it may have',
      }),
    ),
  },
  mustBe: { SESSION_WORKERS: '"dedicated" or a number from 1 to 999' },
});
