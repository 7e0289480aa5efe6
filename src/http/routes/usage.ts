import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { USAGE_SLOT_MS } from '../../store/usage-slot.ts';
import type { CallHistory } from '../call-history.ts';
import { ApiError } from '../errors.ts';
import { failures, KEY_FAILURES } from '../failure-schemas.ts';
import { asked, timeOf } from '../history-questions.ts';
import { quote } from '../quote.ts';
import { UsageAnswer, UsageQuery } from '../usage-schemas.ts';

const DAY_MS = 86_400_000;

export interface UsageOptions {
  readonly history: CallHistory;
  /** What costs are in. */
  readonly currency: string;
}

/** What calls used and cost, in sums. */
export const usageRoutes: FastifyPluginAsyncTypebox<UsageOptions> = async (app, { history, currency }) => {
  app.get(
    '/api/voice/usage',
    {
      schema: {
        operationId: 'usage',
        tags: ['History'],
        summary: 'What calls used and cost',
        description:
          'Sums of the calls that began in a time and are over. They outlive the calls themselves, which are forgotten earlier.',
        querystring: UsageQuery,
        response: { 200: UsageAnswer, ...failures(...KEY_FAILURES, 'history_unavailable') },
      },
    },
    async ({ query, scope }) => {
      const nowMs = Date.now();
      const fromMs = quarterOf('from', query.from) ?? nowMs - (nowMs % DAY_MS);
      const toMs = quarterOf('to', query.to) ?? nowMs - (nowMs % USAGE_SLOT_MS) + USAGE_SLOT_MS;
      const asking = { tenantId: scope.tenantId, fromMs, toMs };
      const [[total], rows] = await asked(
        Promise.all([
          history.usage({ ...asking, by: undefined }),
          query.by === undefined ? [] : history.usage({ ...asking, by: query.by }),
        ]),
      );
      const { name: _, ...sums } = total!;
      return {
        from: new Date(fromMs).toISOString(),
        to: new Date(toMs).toISOString(),
        currency,
        ...(query.by === undefined ? {} : { by: query.by, rows: [...rows] }),
        total: sums,
      };
    },
  );
};

function quarterOf(field: 'from' | 'to', text: string | undefined): number | undefined {
  const timeMs = timeOf(field, text);
  if (timeMs === undefined || timeMs % USAGE_SLOT_MS === 0) return timeMs;
  throw new ApiError('invalid_field', `${field} is ${quote(text)}, but must be a whole quarter of an hour`);
}
