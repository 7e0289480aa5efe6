import { Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { CallError } from '../../call/errors.ts';
import { CSV_HEADER } from '../../store/export.ts';
import type { CallSearch, NumberStyle } from '../../store/records.ts';
import type { CallHistory } from '../call-history.ts';
import { ApiError } from '../errors.ts';
import { failures, KEY_FAILURES } from '../failure-schemas.ts';
import { asked, timeOf } from '../history-questions.ts';
import {
  CALLS_EXAMPLES,
  CallPageAnswer,
  CallQuery,
  CallsQuery,
  CSV_EXAMPLES,
  DEFAULT_PAGE,
  JSONL_EXAMPLES,
  KEPT_CALL_EXAMPLES,
  KeptCallAnswer,
  KeptCallParams,
} from '../history-schemas.ts';
import { may, nameOf, numbersOf } from '../permissions.ts';
import { quote } from '../quote.ts';
import { withoutWords } from '../without-words.ts';

/** Calls an export reads at a time: what it has in memory, and how long others wait for the store. */
const EXPORT_PAGE = 100;

const TYPES = { csv: 'text/csv; charset=utf-8; header=present', jsonl: 'application/jsonl; charset=utf-8' } as const;

/** Calls that are over. */
export const historyRoutes: FastifyPluginAsyncTypebox<{ history: CallHistory }> = async (app, { history }) => {
  app.get(
    '/api/voice/calls',
    {
      schema: {
        operationId: 'searchCalls',
        tags: ['History'],
        summary: 'Look for calls that are over',
        description: 'A page of calls, newest first; or everything that matches, as a file.',
        querystring: CallsQuery,
        response: {
          200: {
            description: 'The calls that match',
            content: {
              'application/json': { schema: CallPageAnswer, examples: CALLS_EXAMPLES },
              'text/csv': { schema: { type: 'string' }, examples: CSV_EXAMPLES },
              'application/jsonl': { schema: { type: 'string' }, examples: JSONL_EXAMPLES },
            },
          },
          ...failures(...KEY_FAILURES, 'history_unavailable'),
        },
      },
    },
    async (request, reply) => {
      const query = request.query as CallsQuery;
      const numbers = numbersOf(request.scope, query.numbers);
      const seesWords = may(request.scope, 'transcripts');
      if (!seesWords && query.q !== undefined) {
        throw new ApiError('forbidden', 'q is set, but the API key may not see what was said, nor look for it');
      }
      const search = searchOf(request.scope.tenantId, query);
      const format = query.format ?? acceptedFormat(request);
      if (format === 'json') {
        const { calls, nextCursor } = await asked(history.search(search, numbers));
        return reply.send({ calls, ...(nextCursor === undefined ? {} : { nextCursor: String(nextCursor) }) } as never);
      }
      if (!seesWords)
        throw new ApiError('forbidden', 'files have what was said in them, which the API key may not see');
      const who = nameOf(request.scope);
      // The first page is read before the answer begins: what is wrong can still be said.
      const first = { ...search, limit: EXPORT_PAGE };
      const page = await asked(history.exportPage(first, numbers, format, who));
      return reply
        .type(TYPES[format])
        .header('content-disposition', `attachment; filename="calls.${format}"`)
        .send(Readable.from(exported(history, first, numbers, format, who, page), { objectMode: false }) as never);
    },
  );

  app.get(
    '/api/voice/calls/:callId',
    {
      schema: {
        operationId: 'getCall',
        tags: ['History'],
        summary: 'Look at a call that is over',
        params: KeptCallParams,
        querystring: CallQuery,
        response: {
          200: {
            description: 'Everything that is kept of the call',
            content: { 'application/json': { schema: KeptCallAnswer, examples: KEPT_CALL_EXAMPLES } },
          },
          ...failures(...KEY_FAILURES, 'call_not_found', 'ambiguous_call_id', 'history_unavailable'),
        },
      },
    },
    async (request, reply) => {
      const { callId } = request.params;
      const numbers = numbersOf(request.scope, request.query.numbers);
      const seesWords = may(request.scope, 'transcripts');
      const who = seesWords ? nameOf(request.scope) : undefined;
      const found = await asked(history.find(request.scope.tenantId, callId, numbers, who));
      if (found.length > 1) {
        throw new CallError('ambiguous_call_id', { callId, tenantCount: found.length });
      }
      const [kept] = found;
      if (!kept) {
        throw new ApiError('call_not_found', `callId is ${quote(callId)}, but no call of this name is in the history`);
      }
      const { details, ...call } = kept;
      // As text: what an earlier version kept of a call may lack what this one documents.
      return reply
        .type('application/json; charset=utf-8')
        .send(JSON.stringify({ ...call, ...(seesWords ? details : withoutWords(details)) }) as never);
    },
  );
};

function searchOf(tenantId: string | undefined, query: CallsQuery): CallSearch {
  const { agent, outcome, q, cursor, limit = DEFAULT_PAGE } = query;
  return {
    tenantId,
    fromMs: timeOf('from', query.from),
    toMs: timeOf('to', query.to),
    agent,
    outcome,
    q,
    cursor: cursor === undefined ? undefined : Number(cursor),
    limit,
  };
}

/** The format that `Accept` names first among those there are. */
function acceptedFormat(request: FastifyRequest): 'json' | 'csv' | 'jsonl' {
  for (const range of (request.headers.accept ?? '').split(',')) {
    const type = range.split(';')[0]?.trim().toLowerCase();
    if (type === 'text/csv') return 'csv';
    if (type === 'application/jsonl' || type === 'application/x-ndjson') return 'jsonl';
    if (type === 'application/json') return 'json';
  }
  return 'json';
}

/** A page is read when the client has taken the one before it. */
async function* exported(
  history: CallHistory,
  search: CallSearch,
  numbers: NumberStyle,
  format: 'csv' | 'jsonl',
  who: string,
  firstPage: Awaited<ReturnType<CallHistory['exportPage']>>,
): AsyncGenerator<string> {
  if (format === 'csv') yield CSV_HEADER;
  let page = firstPage;
  for (;;) {
    if (page.text !== '') yield page.text;
    const { nextCursor } = page;
    if (nextCursor === undefined) return;
    page = await history.exportPage({ ...search, cursor: nextCursor }, numbers, format, who);
  }
}
