import { type Static, Type } from 'typebox';
import { EXAMPLE_CALL_ID, type Examples } from './examples.ts';
import { oneOf } from './schemas.ts';

/** Who is signed in, and who has looked at what. */

export const SignInBody = Type.Object(
  { key: Type.String({ minLength: 1, maxLength: 4096, description: 'An API key' }) },
  {
    description: 'Once; after that the cookie is enough',
    'x-examples': { key: { summary: 'A key', value: { key: 'the-operators-key' } } },
  },
);
export type SignInBody = Static<typeof SignInBody>;

const flag = (description: string) => Type.Boolean({ description });

export const Who = Type.Object(
  {
    name: Type.String({ description: "The key's name; `operator`; `keyless` where there is none" }),
    role: oneOf(['operator', 'tenant'], { description: '`operator`: sees every tenant' }),
    tenantId: Type.Optional(Type.String({ description: 'The tenant that is seen; absent: every tenant' })),
    isKeyless: flag('Nobody needs a key: whoever is at this machine may do everything'),
    may: Type.Object(
      {
        transcripts: flag('See what was said'),
        numbers: flag("See callers' numbers whole"),
        end: flag('End calls'),
        talk: flag('Make calls'),
      },
      { description: 'What the key may' },
    ),
  },
  { description: 'Whoever asks' },
);
export type Who = Static<typeof Who>;

export const WHO_EXAMPLES: Examples = {
  operator: {
    summary: 'The operator',
    value: {
      name: 'operator',
      role: 'operator',
      isKeyless: false,
      may: { transcripts: true, numbers: true, end: true, talk: true },
    },
  },
  tenant: {
    summary: "A tenant's key that may not see what was said",
    value: {
      name: 'acme supervisors',
      role: 'tenant',
      tenantId: 'acme',
      isKeyless: false,
      may: { transcripts: false, numbers: false, end: true, talk: true },
    },
  },
};

const DEFAULT_LOOKS = 100;
export const MAX_LOOKS = 1_000;
const ISO = '^\\d{4}-\\d{2}-\\d{2}(T\\d{2}:\\d{2}(:\\d{2}(\\.\\d{1,3})?)?(Z|[+-]\\d{2}:\\d{2}))?$';

export const LooksQuery = Type.Object({
  from: Type.Optional(
    Type.String({ pattern: ISO, description: 'Looks then or later: a date, or a time with its zone' }),
  ),
  to: Type.Optional(Type.String({ pattern: ISO, description: 'Looks before that' })),
  who: Type.Optional(Type.String({ maxLength: 256, description: 'Name of the key' })),
  call: Type.Optional(Type.String({ maxLength: 256, description: 'A `sessionId` or a `callId`' })),
  cursor: Type.Optional(
    Type.String({ pattern: '^[0-9]{1,16}$', description: '`nextCursor` of the page before; nothing else may change' }),
  ),
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MAX_LOOKS, description: `Most looks on a page; default ${DEFAULT_LOOKS}` }),
  ),
});
export const LOOKS_A_PAGE = DEFAULT_LOOKS;

export const LooksAnswer = Type.Object(
  {
    looks: Type.Array(
      Type.Object(
        {
          at: Type.String({ format: 'date-time', description: 'When' }),
          who: Type.String({ description: 'Name of the key' }),
          what: oneOf(['call', 'export', 'recording', 'live', 'end'], {
            description:
              '`call`: in the history; `export`: in a file; `recording`: heard; `live`: while the call went on; `end`: by ending it from the console',
          }),
          tenantId: Type.String({ description: "The call's tenant" }),
          sessionId: Type.String({ description: 'The call' }),
          callId: Type.String({ description: 'What the switch called it' }),
        },
        { description: 'Somebody saw what was said on a call' },
      ),
      { description: 'The latest first' },
    ),
    nextCursor: Type.Optional(Type.String({ description: '`cursor` of the next page; absent on the last one' })),
  },
  { description: 'A page of looks' },
);

export const LOOKS_EXAMPLES: Examples = {
  looks: {
    summary: 'Somebody has looked at a call',
    value: {
      looks: [
        {
          at: '2025-11-05T15:10:00.000Z',
          who: 'operator',
          what: 'call',
          tenantId: '00000000-0000-0000-0000-000000000001',
          sessionId: '0d3c8d5e-9d0b-4a39-8a27-6f5a6c1c8f10',
          callId: EXAMPLE_CALL_ID,
        },
      ],
    },
  },
};
