import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { hrNowMs } from '../../metrics/clock.ts';
import { invalidAudio } from '../errors.ts';
import type { CallGateway, Delivery } from '../gateway.ts';
import { declaredAudio, installAudioParsers } from '../media-types.ts';
import {
  CallParams,
  ChunkHeaders,
  DEFAULT_POLL_TIMEOUT_MS,
  ErrorAnswer,
  PollAnswer,
  PollQuery,
  RAW_AUDIO_TYPES,
  StreamAnswer,
  StreamBody,
  StreamQuery,
} from '../schemas.ts';

const binary = Type.Unsafe<Buffer>({ type: 'string', format: 'binary' });

/** Audio up, audio down. */
export const streamRoutes: FastifyPluginAsyncTypebox<{ gateway: CallGateway }> = async (app, { gateway }) => {
  installAudioParsers(app);

  app.post(
    '/api/voice/stream/:callId',
    {
      schema: {
        operationId: 'streamAudio',
        tags: ['Audio'],
        summary: 'Send audio of the caller',
        params: CallParams,
        querystring: StreamQuery,
        headers: ChunkHeaders,
        body: {
          content: {
            'application/json': { schema: StreamBody },
            ...Object.fromEntries(RAW_AUDIO_TYPES.map((type) => [type, { schema: binary }])),
          },
        },
        response: {
          200: StreamAnswer,
          400: ErrorAnswer,
          404: ErrorAnswer,
          409: ErrorAnswer,
          413: ErrorAnswer,
          415: ErrorAnswer,
          503: ErrorAnswer,
        },
      },
    },
    async (request, reply) => {
      const receivedAtMs = hrNowMs();
      const session = gateway.findSession(request.scope, request.params.callId);
      const raw = Buffer.isBuffer(request.body) ? request.body : undefined;
      const body = raw ? {} : ((request.body ?? {}) as StreamBody);
      if (!raw && body.audio === undefined && body.dtmf === undefined) {
        throw invalidAudio('audio is missing from the body');
      }
      const { playedMs = body.playedMs, generation = body.generation } = request.query;
      if (playedMs !== undefined) session.reportPlayed(generation, playedMs);
      await session.stream({
        receivedAtMs,
        dtmf: body.dtmf,
        chunkSeq: raw ? request.headers['x-chunk-seq'] : body.chunkSeq,
        audio: raw
          ? // A copy of its own: the body may be a view on a larger buffer, and posting a view posts all of it.
            { data: new Uint8Array(raw), declared: declaredAudio(request) }
          : body.audio === undefined
            ? undefined
            : { data: body.audio },
      });
      if (request.query.poll === 1) {
        const delivery = session.deliver('stream', request.query);
        return send(reply, { status: 'streamed' as const, ...delivery.answer }, delivery);
      }
      return {
        status: 'streamed' as const,
        generation: session.generation,
        ...(session.takeInterrupted('stream') ? { interrupted: true as const } : {}),
      };
    },
  );

  app.get(
    '/api/voice/stream/:callId/response',
    {
      schema: {
        operationId: 'pollResponse',
        tags: ['Audio'],
        summary: 'Receive the reply (long poll)',
        description:
          'Answers as soon as there is something, at the latest after `timeout`. A second poll on the same call replaces the first, which answers at once.',
        params: CallParams,
        querystring: PollQuery,
        response: { 200: PollAnswer, 400: ErrorAnswer, 404: ErrorAnswer, 409: ErrorAnswer },
      },
    },
    async (request, reply) => {
      const session = gateway.findSession(request.scope, request.params.callId);
      const { timeout = DEFAULT_POLL_TIMEOUT_MS, playedMs, generation } = request.query;
      if (playedMs !== undefined) session.reportPlayed(generation, playedMs);
      const gone = new AbortController();
      const onClose = () => gone.abort();
      reply.raw.once('close', onClose);
      const delivery = await session.poll(request.query, timeout, gone.signal);
      reply.raw.off('close', onClose);
      return send(reply, delivery.answer, delivery);
    },
  );
};

/** Sends an answer and tells the outbox whether it went out whole. */
function send(reply: FastifyReply, answer: object, delivery: Delivery): FastifyReply {
  const { raw } = reply;
  // The client may have gone while the answer was made.
  if (raw.destroyed) delivery.aborted();
  else raw.once('close', () => (raw.writableFinished ? delivery.written() : delivery.aborted()));
  return reply.send(answer);
}
