import type { Static } from 'typebox';
import type { Who as WhoSchema } from '../../src/http/console-schemas.ts';
import type { CallEvents, Figures, Turn } from '../../src/http/event-schemas.ts';
import type { CallPageAnswer, KeptCallAnswer } from '../../src/http/history-schemas.ts';
import type {
  Entry,
  FollowedCall,
  FollowedEnd,
  Line,
  LiveCall as LiveCallSchema,
  LiveChanges,
  LiveSnapshot,
} from '../../src/http/live-schemas.ts';
import type {
  CreateAnswer as CreateAnswerSchema,
  ErrorAnswer,
  PollAnswer as PollAnswerSchema,
  Readiness as ReadinessSchema,
} from '../../src/http/schemas.ts';

import type { StatusAnswer } from '../../src/http/status-schemas.ts';

/** What the gateway answers. The schemas that it validates with, and that the OpenAPI document is made of, are the source. */
export type Failure = Static<typeof ErrorAnswer>;
export type CreateAnswer = Static<typeof CreateAnswerSchema>;
export type PollAnswer = Static<typeof PollAnswerSchema>;
export type Readiness = Static<typeof ReadinessSchema>;

export type Timeline = Static<typeof CallEvents>;
/** Details depend on its type. */
export type TimelineEntry = Timeline['events'][number] & Readonly<Record<string, unknown>>;
export type CallTurn = Static<typeof Turn>;
export type CallFigures = Static<typeof Figures>;

export type KeptCall = Static<typeof KeptCallAnswer>;
export type KeptCallPage = Static<typeof CallPageAnswer>;
export type ListedCall = KeptCallPage['calls'][number];

export type LiveCall = Static<typeof LiveCallSchema>;
export type Snapshot = Static<typeof LiveSnapshot>;
export type Changes = Static<typeof LiveChanges>;
export type EndedCall = Changes['ended'][number];

export type ToldCall = Static<typeof FollowedCall>;
export type ToldEntry = Static<typeof Entry> & Readonly<Record<string, unknown>>;
export type ToldLine = Static<typeof Line>;
export type ToldEnd = Static<typeof FollowedEnd>;

export type Who = Static<typeof WhoSchema>;
export type Status = Static<typeof StatusAnswer>;
