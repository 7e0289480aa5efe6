import { basename, dirname } from 'node:path';
import send from '@fastify/send';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { CallError } from '../../call/errors.ts';
import type { CallHistory } from '../call-history.ts';
import { ApiError } from '../errors.ts';
import { failures, KEY_FAILURES } from '../failure-schemas.ts';
import { asked } from '../history-questions.ts';
import { KeptCallParams } from '../history-schemas.ts';
import { may, nameOf } from '../permissions.ts';
import { quote } from '../quote.ts';

const WAV = { schema: { type: 'string', format: 'binary' } } as const;

/** What was said on a call that is over, and what was heard. */
export const recordingRoutes: FastifyPluginAsyncTypebox<{ history: CallHistory }> = async (app, { history }) => {
  app.get(
    '/api/voice/calls/:callId/recording',
    {
      schema: {
        operationId: 'getRecording',
        tags: ['History'],
        summary: 'Listen to a call that is over',
        description:
          'A stereo WAV file: the caller left, what was heard of the agent right. A `Range` of it is answered with 206.',
        params: KeptCallParams,
        response: {
          200: { description: 'The whole recording', content: { 'audio/wav': WAV } },
          206: { description: 'The range that was asked for', content: { 'audio/wav': WAV } },
          ...failures(...KEY_FAILURES, 'recording_not_found', 'ambiguous_call_id', 'history_unavailable'),
        },
      },
    },
    async (request, reply) => {
      const { callId } = request.params;
      const { scope } = request;
      if (!may(scope, 'transcripts')) {
        throw new ApiError('forbidden', 'a recording has what was said in it, which the API key may not know');
      }
      const found = await asked(history.findRecording(scope.tenantId, callId));
      if (found.length > 1) throw new CallError('ambiguous_call_id', { callId, tenantCount: found.length });
      const [recording] = found;
      if (!recording) throw notFound(callId);
      const { path, id: sessionId, tenantId } = recording;
      const look = { who: nameOf(scope), what: 'recording', tenantId, sessionId, callId: recording.callId } as const;
      await asked(history.noteLooks([look]));
      const { type, statusCode, headers, stream } = await send(request.raw, basename(path), {
        root: dirname(path),
        index: false,
        cacheControl: false,
      });
      // Its time was up, or its caller was forgotten, since it was found.
      if (type === 'error' && statusCode === 404) throw notFound(callId);
      if (type === 'error') {
        const { range } = request.headers;
        const wrong = `Range is ${quote(range ?? '')}, but the recording has ${recording.byteCount} bytes`;
        throw new ApiError('invalid_field', wrong);
      }
      return reply
        .code(statusCode as 200)
        .headers({ ...headers, 'content-type': 'audio/wav', 'cache-control': 'private, no-store' })
        .header('content-disposition', `attachment; filename="${basename(path)}"`)
        .send(stream as never);
    },
  );
};

function notFound(callId: string): ApiError {
  return new ApiError('recording_not_found', `callId is ${quote(callId)}, but there is no recording of this call`);
}
