import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { CallHistory } from '../call-history.ts';
import { LOOKS_A_PAGE, LOOKS_EXAMPLES, LooksAnswer, LooksQuery } from '../console-schemas.ts';
import { failures, KEY_FAILURES } from '../failure-schemas.ts';
import { asked, timeOf } from '../history-questions.ts';
import { operatorOnly } from '../permissions.ts';

/** Who has looked at what was said. */
export const looksRoutes: FastifyPluginAsyncTypebox<{ history: CallHistory }> = async (app, { history }) => {
  app.get(
    '/api/voice/looks',
    {
      schema: {
        operationId: 'searchLooks',
        tags: ['History'],
        summary: 'Who has looked at what was said',
        description: "Every look at a call's transcript, for a year. The operator's key only.",
        querystring: LooksQuery,
        response: {
          200: {
            description: 'The looks that match',
            content: { 'application/json': { schema: LooksAnswer, examples: LOOKS_EXAMPLES } },
          },
          ...failures(...KEY_FAILURES, 'history_unavailable'),
        },
      },
    },
    async ({ scope, query }) => {
      operatorOnly(scope, 'who has looked at calls');
      const { from, to, who, call, cursor, limit = LOOKS_A_PAGE } = query;
      const { looks, nextCursor } = await asked(
        history.looks({
          who,
          call,
          fromMs: timeOf('from', from),
          toMs: timeOf('to', to),
          cursor: cursor === undefined ? undefined : Number(cursor),
          limit,
        }),
      );
      return { looks: [...looks], ...(nextCursor === undefined ? {} : { nextCursor: String(nextCursor) }) };
    },
  );
};
