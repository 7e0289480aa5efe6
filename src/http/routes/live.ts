import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { type CallHistory, hasNotedLook } from '../call-history.ts';
import { ApiError } from '../errors.ts';
import { CallEvents } from '../event-schemas.ts';
import { EVENTS_EXAMPLES } from '../examples.ts';
import { CALL_FAILURES, failures, KEY_FAILURES } from '../failure-schemas.ts';
import { FollowedCallStream, type FollowOptions } from '../followed-call.ts';
import type { Followers } from '../followers.ts';
import type { CallGateway, CallSession } from '../gateway.ts';
import { LiveCalls } from '../live-calls.ts';
import { CALL_STREAM_EXAMPLES, LIST_STREAM_EXAMPLES } from '../live-examples.ts';
import { FollowQuery, LiveQuery } from '../live-schemas.ts';
import { may, numbersOf } from '../permissions.ts';
import { CallParams } from '../schemas.ts';

export interface LiveOptions {
  readonly gateway: CallGateway;
  readonly history: CallHistory;
  readonly followers: Followers;
  /** Looks again whether a request may still be answered. @throws {ApiError} */
  readonly check: (request: FastifyRequest) => void;
}

/** Changes of the list that its reader has not taken: it is told all of them at once when it has. */
const MAX_UNSENT_LIST_BYTES = 0;
const MAX_UNSENT_CALL_BYTES = 64 * 1024;

const stream = { type: 'string' } as const;

/** What happens on calls, as it happens: server-sent events. */
export const liveRoutes: FastifyPluginAsyncTypebox<LiveOptions> = async (
  app,
  { gateway, history, followers, check },
) => {
  const calls = new LiveCalls(gateway);
  app.addHook('preClose', async () => {
    followers.close();
    calls.close();
  });

  app.get(
    '/api/voice/events',
    {
      exposeHeadRoute: false,
      config: { tenantInQuery: true },
      schema: {
        operationId: 'followCalls',
        tags: ['Calls'],
        summary: 'Follow all calls',
        description:
          'Server-sent events: the calls as they stand, then twice a second those that have come, gone or changed, each at most once a second.',
        querystring: LiveQuery,
        response: {
          200: {
            description: 'For as long as the client listens',
            content: { 'text/event-stream': { schema: stream, examples: LIST_STREAM_EXAMPLES } },
          },
          ...failures(...KEY_FAILURES, 'too_many_listeners'),
        },
      },
    },
    (request, reply) => {
      const { scope } = request;
      const isFull = numbersOf(request.scope, request.query.numbers) === 'full';
      followers.open(
        request,
        reply,
        MAX_UNSENT_LIST_BYTES,
        () => check(request),
        (to) => calls.follower(to, scope, isFull, lastEventIdOf(request)),
      );
    },
  );

  app.get(
    '/api/voice/session/:callId/events',
    {
      config: { tenantInQuery: true },
      schema: {
        operationId: 'getSessionEvents',
        tags: ['Calls'],
        summary: 'What happened on a call, or happens',
        description:
          'Every turn with its hops and their milliseconds, and everything else that happened, until 10 minutes after the end. `npm run trace -- CALL_ID` prints it. With `follow=1` server-sent events: all of that, the conversation, and what comes.',
        params: CallParams,
        querystring: FollowQuery,
        response: {
          200: {
            description: 'What happened on the call',
            content: {
              'application/json': { schema: withoutExamples(CallEvents), examples: EVENTS_EXAMPLES },
              'text/event-stream': { schema: stream, examples: CALL_STREAM_EXAMPLES },
            },
          },
          ...failures(...CALL_FAILURES, 'too_many_listeners'),
        },
      },
    },
    async (request, reply) => {
      const call = gateway.findSession(request.scope, request.params.callId);
      if (request.query.follow !== 1) return reply.send(call.events() as never);
      if (request.method === 'HEAD') throw new ApiError('method_not_allowed', 'a stream of events has no HEAD');
      const isFull = numbersOf(request.scope, request.query.numbers) === 'full';
      const options: FollowOptions = {
        isFull,
        lines: await linesFor(request, call, history),
        lastEventId: lastEventIdOf(request),
      };
      followers.open(
        request,
        reply,
        MAX_UNSENT_CALL_BYTES,
        () => check(request),
        (to) => new FollowedCallStream(call, to, options),
      );
      return reply;
    },
  );
};

/** A look that cannot be recorded shows nothing of what is said. */
async function linesFor(
  request: FastifyRequest,
  call: CallSession,
  history: CallHistory,
): Promise<true | false | string> {
  const { scope } = request;
  if (!may(scope, 'transcripts')) return false;
  const isNoted = await hasNotedLook(history, scope, call, 'live');
  return isNoted || 'the look cannot be recorded at the moment: the store of calls does not answer';
}

function lastEventIdOf({ headers }: FastifyRequest): string | undefined {
  const id = headers['last-event-id'];
  return typeof id === 'string' && id !== '' ? id.slice(0, 200) : undefined;
}

function withoutExamples<T extends object>(schema: T): T {
  const { 'x-examples': _, ...rest } = schema as T & { 'x-examples'?: unknown };
  return rest as T;
}
