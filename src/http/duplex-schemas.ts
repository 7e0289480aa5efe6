import { type Static, Type } from 'typebox';
import { ENCODINGS } from '../audio/codec.ts';
import { SAMPLE_RATES_HZ } from '../audio/sample-rates.ts';
import { CreateBody, oneOf } from './schemas.ts';

/** What a way down may be asked for. */
export const LEAD_MS = { minimum: 40, maximum: 400, default: 120 } as const;
const STEPS_MS = [20, 40, 60, 80, 100] as const;
const DEFAULT_FRAME_MS = 60;

/** The frame of a stream that names none: half its lead at most, so that a late write leaves the client one. */
export function defaultFrameMs(leadMs: number): number {
  return STEPS_MS.findLast((stepMs) => stepMs <= Math.min(DEFAULT_FRAME_MS, leadMs / 2))!;
}

const downQuery = {
  out: Type.Optional(
    oneOf([...ENCODINGS], {
      description: "Encoding of the answer; default: that of the caller's audio, or of the call",
    }),
  ),
  outRate: Type.Optional(
    oneOf([...SAMPLE_RATES_HZ], {
      description: 'Sample rate of the answer in Hz, with `out=pcm16`; default: as above',
    }),
  ),
  lead: Type.Optional(
    Type.Integer({
      minimum: LEAD_MS.minimum,
      maximum: LEAD_MS.maximum,
      description: `Milliseconds by which the answer is ahead of its playback; default ${LEAD_MS.default}`,
    }),
  ),
  frame: Type.Optional(
    oneOf([...STEPS_MS], {
      description: 'Milliseconds of audio a write, at most `lead`; default 60, less with a short `lead`',
    }),
  ),
};

export const AudioQuery = Type.Object(downQuery);
export type AudioQuery = Static<typeof AudioQuery>;

const { tenantId, storeId, did, callerNumber, aiAgentRef } = CreateBody.properties;

/** Fields of a call that `create=1` makes. */
export const CREATE_FIELDS = ['tenantId', 'storeId', 'did', 'callerNumber', 'aiAgentRef'] as const;

export const DuplexQuery = Type.Object({
  ...downQuery,
  tick: Type.Optional(
    oneOf([...STEPS_MS], { description: "Milliseconds of the caller's audio that are passed on at once; default 40" }),
  ),
  down: Type.Optional(oneOf([0, 1], { description: '0: the way up alone; answers with counters when the body ends' })),
  create: Type.Optional(
    oneOf([0, 1], {
      description:
        '1: creates the call where there is none, and ends it when the body ends; the fields below are its own',
    }),
  ),
  end: Type.Optional(oneOf([0, 1], { description: '1: the call ends when the body ends; default: as `create`' })),
  tenantId,
  storeId,
  did,
  callerNumber,
  aiAgentRef,
});
export type DuplexQuery = Static<typeof DuplexQuery>;

export const UpAnswer = Type.Object(
  {
    status: Type.Literal('streamed', { description: 'Always `streamed`' }),
    bytes: Type.Integer({ description: 'Bytes that came' }),
    audioMs: Type.Integer({ description: 'Milliseconds of audio that they were' }),
  },
  { description: 'The audio was taken' },
);

/** Examples of it: in an answer of several media types they stand beside the schema. */
export const UP_ANSWER_EXAMPLES = {
  taken: { summary: 'A minute', value: { status: 'streamed', bytes: 480_000, audioMs: 60_000 } },
};
