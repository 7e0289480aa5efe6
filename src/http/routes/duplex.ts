import type { ServerResponse } from 'node:http';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { type AudioFormat, CODECS, codecOf, type DeclaredAudio } from '../../audio/codec.ts';
import type { DownStreamRequest } from '../../call/duplex/down-stream.ts';
import { AudioExchange } from '../audio-exchange.ts';
import { ClientWatch } from '../client-watch.ts';
import {
  AudioQuery,
  CREATE_FIELDS,
  DuplexQuery,
  defaultFrameMs,
  LEAD_MS,
  UP_ANSWER_EXAMPLES,
  UpAnswer,
} from '../duplex-schemas.ts';
import { ApiError } from '../errors.ts';
import { CALL_FAILURES, CREATE_FAILURES, failures } from '../failure-schemas.ts';
import type { CallGateway, CallSession } from '../gateway.ts';
import { declaredAudio } from '../media-types.ts';
import { BARE_AUDIO_TYPES, CallParams, type CreateBody } from '../schemas.ts';
import { withTrace } from '../trace-fields.ts';

const binary = Type.Unsafe<Buffer>({ type: 'string', format: 'binary' });
const audioOf = (types: readonly string[]) => Object.fromEntries(types.map((type) => [type, { schema: binary }]));
const ANSWER_TYPES = Object.values(CODECS).map(({ mediaType }) => mediaType);
const DEFAULT_TICK_MS = 40;

/** One request a call: the caller's audio in its body, the agent's in its answer, both for as long as the call lasts. */
export const duplexRoutes: FastifyPluginAsyncTypebox<{ gateway: CallGateway }> = async (app, { gateway }) => {
  // The body is the call: nobody reads it before the call does.
  app.addContentTypeParser([...BARE_AUDIO_TYPES], (_request, _payload, done) => done(null));

  app.post(
    '/api/voice/stream/:callId/duplex',
    {
      config: { takesAudio: true, needsCalls: true },
      schema: {
        operationId: 'duplex',
        tags: ['Audio'],
        summary: 'Both directions in one request',
        description:
          "The body is the caller's raw samples, the answer the agent's in real time, silence included, both for as long as the call lasts. A second one takes the place of the first.",
        params: CallParams,
        querystring: DuplexQuery,
        body: { content: audioOf(BARE_AUDIO_TYPES) },
        response: {
          200: {
            description: "The agent's audio; counters with `down=0`",
            content: {
              'application/json': { schema: UpAnswer, examples: UP_ANSWER_EXAMPLES },
              ...audioOf(ANSWER_TYPES),
            },
          },
          ...failures(...CALL_FAILURES, 'unsupported_media_type', ...CREATE_FAILURES),
        },
      },
    },
    async (request, reply) => {
      const { query } = request;
      const declared = declaredAudio(request.headers['content-type'] ?? '');
      if (declared.kind === 'wav') {
        throw new ApiError(
          'unsupported_media_type',
          'Content-Type is a WAV file, but what is streamed is bare samples',
        );
      }
      // Nothing is created for a request that cannot be followed.
      downRequest(query, formatOf(declared));
      const session = await sessionOf(gateway, request, reply.raw, formatOf(declared));
      if (reply.raw.destroyed) {
        // It has gone while its call was made: of a connection that is closed already, no end would be told.
        reply.hijack();
        return reply;
      }
      const up = formatOf(declared, session.format);
      const down = query.down === 0 ? undefined : downRequest(query, up);
      const exchange = new AudioExchange(request.raw, reply.raw);
      const wanted = { format: up, bigEndian: declared.bigEndian ?? false, tickMs: query.tick ?? DEFAULT_TICK_MS };
      const received = exchange.receive(session, wanted, (query.end ?? query.create) === 1);
      if (!down) return { status: 'streamed' as const, ...(await received) };
      exchange.play(session, down, headersOf(request));
      reply.hijack();
      // Without an answer to end, the end of the body would leave its client waiting.
      void received.then(() => exchange.end());
      return reply;
    },
  );

  app.get(
    '/api/voice/stream/:callId/audio',
    {
      exposeHeadRoute: false,
      config: { needsCalls: true },
      schema: {
        operationId: 'streamDown',
        tags: ['Audio'],
        summary: "The agent's audio alone",
        description: 'The answer of a duplex request, for clients that cannot send and receive at once.',
        params: CallParams,
        querystring: AudioQuery,
        response: {
          200: { description: "The agent's audio, in real time, silence included", content: audioOf(ANSWER_TYPES) },
          ...failures(...CALL_FAILURES),
        },
      },
    },
    async (request, reply) => {
      const session = gateway.findSession(request.scope, request.params.callId);
      const down = downRequest(request.query, session.format);
      new AudioExchange(request.raw, reply.raw).play(session, down, headersOf(request));
      reply.hijack();
      return reply;
    },
  );
};

type StreamRequest = FastifyRequest<{ Params: { callId: string }; Querystring: DuplexQuery }>;

/** The call that a stream belongs to; with `create=1` it is made where there is none. */
async function sessionOf(
  gateway: CallGateway,
  request: StreamRequest,
  response: ServerResponse,
  format: AudioFormat,
): Promise<CallSession> {
  const { query, params, scope, id } = request;
  const { callId } = params;
  if (query.create !== 1) return gateway.findSession(scope, callId);
  const { encoding, sampleRateHz: sampleRate } = format;
  const fields = CREATE_FIELDS.filter((name) => query[name] !== undefined).map((name) => [name, query[name]]);
  const body: CreateBody = { callId, ...Object.fromEntries(fields), encoding, sampleRate };
  const client = new ClientWatch(response);
  await gateway.createSession(scope, withTrace(body, request.headers), id, client);
  client.end();
  return gateway.findSession({ tenantId: gateway.tenantOf(scope, body) }, callId);
}

/** Bare samples that name no rate have that of their call, where the encoding has more than one. */
function formatOf(declared: Exclude<DeclaredAudio, { kind: 'wav' }>, call?: AudioFormat): AudioFormat {
  const { kind: encoding } = declared;
  const inherited = call?.encoding === encoding ? call.sampleRateHz : codecOf(encoding).defaultSampleRateHz;
  return { encoding, sampleRateHz: declared.sampleRateHz ?? inherited };
}

/** @throws {ApiError} `invalid_field` for values that do not go together */
function downRequest({ out, outRate, lead, frame }: AudioQuery, like: AudioFormat): DownStreamRequest {
  const encoding = out ?? like.encoding;
  const { sampleRatesHz } = codecOf(encoding);
  const sampleRateHz = outRate ?? (sampleRatesHz.includes(like.sampleRateHz) ? like.sampleRateHz : sampleRatesHz[0]!);
  if (!sampleRatesHz.includes(sampleRateHz)) {
    throw new ApiError(
      'invalid_field',
      `outRate is ${sampleRateHz}, but must be ${sampleRatesHz.join(' or ')} with out=${encoding}`,
    );
  }
  const leadMs = lead ?? LEAD_MS.default;
  const frameMs = frame ?? defaultFrameMs(leadMs);
  if (frameMs > leadMs) {
    throw new ApiError('invalid_field', `frame is ${frameMs}, but must be at most lead, which is ${leadMs}`);
  }
  return { format: { encoding, sampleRateHz }, leadMs, frameMs };
}

function headersOf({ id, params }: FastifyRequest<{ Params: { callId: string } }>): Record<string, string> {
  return { 'x-call-id': params.callId, 'x-request-id': id };
}
