import { Type } from 'typebox';
import type { Examples } from './examples.ts';
import { oneOf } from './schemas.ts';

/** How the gateway does. */

const number = (description: string) => Type.Number({ description });
const flag = (description: string) => Type.Boolean({ description });
const measured = (description: string) =>
  Type.Object(
    {
      now: number('At the moment'),
      limit: Type.Optional(number('Beyond it new calls are refused; absent: there is none')),
    },
    { description },
  );

export const StatusAnswer = Type.Object(
  {
    problems: Type.Array(
      Type.Object(
        {
          severity: oneOf(['critical', 'warning'], {
            description: '`critical`: calls suffer, or something is being lost; `warning`: they may soon',
          }),
          code: Type.String({ description: 'Stable, for programs' }),
          text: Type.String({ description: 'A sentence' }),
        },
        { description: 'Something that is wrong' },
      ),
      { description: 'The worst on top; empty where nothing is wrong' },
    ),
    version: Type.String({ description: 'Version of the gateway' }),
    uptimeSeconds: number('Seconds since it started'),
    isDraining: flag('It is shutting down'),
    refusal: Type.Optional(Type.String({ description: 'Why new calls are refused, where they are' })),
    upstream: Type.Object(
      {
        kind: oneOf(['openai', 'simulator'], { description: 'Who answers the calls' }),
        connects: Type.Object(
          {
            ok: number('That succeeded'),
            failed: number('That failed'),
            failedInARow: number('That failed since one succeeded, however long ago'),
            lastFailure: Type.Optional(
              Type.String({ description: '`refused`, `rate_limited`, `unavailable`, `timeout` or `protocol`' }),
            ),
            lastFailureAgoMs: Type.Optional(number('Milliseconds since then')),
          },
          { description: 'Connections that were tried within five minutes' },
        ),
      },
      { description: 'The AI' },
    ),
    store: Type.Object(
      {
        isUp: flag('The disk took what it was last given'),
        unwritten: number('Calls that are only in memory'),
        byteCount: number('Size of the file'),
      },
      { description: 'What is kept of calls' },
    ),
    backend: Type.Object(
      {
        isSet: flag('There is one'),
        isFailing: flag('It failed when it was last asked'),
        summariesPending: number('Summaries that wait for it'),
      },
      { description: 'The W3 backend' },
    ),
    cluster: Type.Object(
      {
        isShared: flag('Several nodes may be one gateway'),
        isDirectoryUp: flag('Their directory can be reached'),
        nodes: number('Nodes that are alive, this one included'),
      },
      { description: 'Other nodes' },
    ),
    load: Type.Object(
      {
        sessions: measured('Calls'),
        eventLoopMs: measured('Mean milliseconds, over a second, by which the main thread is late'),
        poolQueue: measured('Audio jobs that waited for the whole last second'),
        rssMb: measured('Megabytes of memory'),
        descriptors: measured('File descriptors'),
        cpuCores: measured('Cores in use since this was asked before; the limit is those of the machine'),
      },
      { description: 'What there is to do, and what is bearable' },
    ),
    agents: Type.Array(
      Type.Object(
        {
          ref: Type.String({ description: 'Its name' }),
          isUsable: flag('Calls for it are taken'),
          problem: Type.Optional(Type.String({ description: 'Why its file, as it is now, is not used' })),
        },
        { description: 'An agent profile' },
      ),
      { description: 'Agents of `AGENTS_DIR`' },
    ),
  },
  { description: 'How the gateway does' },
);

export const STATUS_EXAMPLES: Examples = {
  well: {
    summary: 'Nothing is wrong',
    value: {
      problems: [],
      version: '0.1.0',
      uptimeSeconds: 3_600,
      isDraining: false,
      upstream: { kind: 'openai', connects: { ok: 12, failed: 0, failedInARow: 0 } },
      store: { isUp: true, unwritten: 0, byteCount: 1_048_576 },
      backend: { isSet: true, isFailing: false, summariesPending: 0 },
      cluster: { isShared: false, isDirectoryUp: true, nodes: 1 },
      load: {
        sessions: { now: 3, limit: 500 },
        eventLoopMs: { now: 0.4, limit: 100 },
        poolQueue: { now: 0, limit: 64 },
        rssMb: { now: 240, limit: 7_000 },
        descriptors: { now: 80, limit: 65_536 },
        cpuCores: { now: 0.2, limit: 2 },
      },
      agents: [{ ref: 'customer-care-voice', isUsable: true }],
    },
  },
};
