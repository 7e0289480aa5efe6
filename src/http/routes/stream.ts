import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Delivery } from '../../call/reply/deliveries.ts';
import { monotonicNowMs } from '../../clock.ts';
import { ClientWatch } from '../client-watch.ts';
import { pollAnswer } from '../delivery-answer.ts';
import { ApiError } from '../errors.ts';
import { CALL_FAILURES, failures } from '../failure-schemas.ts';
import type { CallGateway, CallSession } from '../gateway.ts';
import { declaredAudio, installAudioParsers } from '../media-types.ts';
import { may } from '../permissions.ts';
import {
  CallParams,
  ChunkHeaders,
  DEFAULT_POLL_TIMEOUT_MS,
  MAX_AUDIO_BODY_BYTES,
  MAX_CHUNK_SEQ,
  PollAnswer,
  PollQuery,
  RAW_AUDIO_TYPES,
  StreamAnswer,
  StreamBody,
  StreamQuery,
} from '../schemas.ts';
import { ValidationError } from '../validation.ts';

const binary = Type.Unsafe<Buffer>({ type: 'string', format: 'binary' });

/** Audio up, audio down. */
export const streamRoutes: FastifyPluginAsyncTypebox<{ gateway: CallGateway }> = async (app, { gateway }) => {
  installAudioParsers(app);

  app.post(
    '/api/voice/stream/:callId',
    {
      config: { takesAudio: true, needsCalls: true },
      bodyLimit: MAX_AUDIO_BODY_BYTES,
      // What is wrong is told by the handler: a refused chunk uses up its number.
      attachValidation: true,
      schema: {
        operationId: 'streamAudio',
        tags: ['Audio'],
        summary: 'Send audio of the caller',
        description:
          'Raw samples in the format of the call, or a whole WAV file, as base64 in JSON or bare with an audio `Content-Type`.',
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
          ...failures(
            ...CALL_FAILURES,
            'invalid_json',
            'invalid_audio',
            'body_too_large',
            'unsupported_media_type',
            'upstream_busy',
          ),
        },
      },
    },
    async (request, reply) => {
      const receivedAtMs = monotonicNowMs();
      const session = gateway.findSession(request.scope, request.params.callId);
      const raw = Buffer.isBuffer(request.body) ? request.body : undefined;
      const body = raw ? {} : ((request.body ?? {}) as StreamBody);
      const refusal = refusalOf(request, raw, body);
      if (refusal) {
        consume(session, body.chunkSeq ?? request.headers['x-chunk-seq']);
        throw refusal;
      }
      const { playedMs = body.playedMs, generation = body.generation, ack, poll } = request.query;
      session.report({ ack, playedMs, generation });
      await session.stream({
        receivedAtMs,
        dtmf: body.dtmf,
        chunkSeq: body.chunkSeq ?? request.headers['x-chunk-seq'],
        audio: raw
          ? // A copy of its own: the body may be a view on a larger buffer, and posting a view posts all of it.
            { data: new Uint8Array(raw), declared: declaredAudio(request.headers['content-type'] ?? '') }
          : body.audio === undefined
            ? undefined
            : { data: body.audio },
      });
      if (poll === 1) {
        const delivery = session.deliver(request.query);
        const answer = pollAnswer(delivery, { hasWords: may(request.scope, 'transcripts') });
        return send(reply, { status: 'streamed' as const, ...answer }, delivery);
      }
      const { generation: now } = session;
      if (!session.takeInterrupted()) return { status: 'streamed' as const, generation: now };
      reply.raw.once('close', () => {
        if (!reply.raw.writableFinished) session.giveBackInterrupted();
      });
      return { status: 'streamed' as const, generation: now, interrupted: true as const };
    },
  );

  app.get(
    '/api/voice/stream/:callId/response',
    {
      // A HEAD request would take the audio away and send none of it.
      exposeHeadRoute: false,
      config: { needsCalls: true },
      schema: {
        operationId: 'pollResponse',
        tags: ['Audio'],
        summary: 'Receive the reply (long poll)',
        description:
          'Answers as soon as there is something, at the latest after `timeout`. A second poll on the same call replaces the first, which answers at once.',
        params: CallParams,
        querystring: PollQuery,
        response: { 200: PollAnswer, ...failures(...CALL_FAILURES) },
      },
    },
    async (request, reply) => {
      const session = gateway.findSession(request.scope, request.params.callId);
      const { timeout = DEFAULT_POLL_TIMEOUT_MS } = request.query;
      session.report(request.query);
      const client = new ClientWatch(reply.raw);
      const delivery = await session.poll(request.query, timeout, client);
      client.end();
      return send(reply, pollAnswer(delivery, { hasWords: may(request.scope, 'transcripts') }), delivery);
    },
  );
};

/** Why a chunk is refused before anyone has looked at its audio. */
function refusalOf(request: FastifyRequest, raw: Buffer | undefined, body: StreamBody): Error | undefined {
  const { validationError } = request;
  if (validationError) {
    const isAudio = validationError instanceof ValidationError && validationError.field === 'audio';
    return isAudio ? new ApiError('invalid_audio', validationError.message) : validationError;
  }
  const isEmpty = !raw && body.audio === undefined && body.dtmf === undefined;
  return isEmpty ? new ApiError('invalid_audio', 'audio is missing from the body') : undefined;
}

/** Uses up the number of a refused chunk, where it has one. */
function consume(session: CallSession, chunkSeq: unknown): void {
  const seq = typeof chunkSeq === 'string' && /^\d{1,10}$/.test(chunkSeq) ? Number(chunkSeq) : chunkSeq;
  if (Number.isInteger(seq) && (seq as number) >= 0 && (seq as number) <= MAX_CHUNK_SEQ) session.consume(seq as number);
}

/** Sends an answer and tells the outbox whether it went out whole. */
function send(reply: FastifyReply, answer: object, delivery: Delivery): FastifyReply {
  const { raw } = reply;
  if (raw.destroyed) {
    delivery.aborted();
    // Nobody is there to answer.
    return reply.hijack();
  }
  raw.once('close', () => (raw.writableFinished ? delivery.written() : delivery.aborted()));
  return reply.send(answer);
}
