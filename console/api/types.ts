import type { Static } from 'typebox';
import type { CallEvents, Figures, Turn } from '../../src/http/event-schemas.ts';
import type { CallPageAnswer, KeptCallAnswer } from '../../src/http/history-schemas.ts';
import type { CreateAnswer, EndAnswer, ErrorAnswer, PollAnswer, SummaryAction } from '../../src/http/schemas.ts';

/** What the gateway answers. The schemas that it validates with, and that the OpenAPI document is made of, are the source. */
export type Failure = Static<typeof ErrorAnswer>;
export type Timeline = CallEvents;
/** Details depend on its type. */
export type TimelineEntry = CallEvents['events'][number] & Readonly<Record<string, unknown>>;
export type CallTurn = Static<typeof Turn>;
export type CallFigures = Static<typeof Figures>;
export type KeptCall = Static<typeof KeptCallAnswer>;
export type KeptCallPage = Static<typeof CallPageAnswer>;
export type ListedCall = KeptCallPage['calls'][number];
export type RecordedAction = Static<typeof SummaryAction>;
export type Ended = EndAnswer;
export type { CreateAnswer, PollAnswer };

/** A call that goes on. */
export interface LiveCall {
  readonly sessionId: string;
  readonly callId: string;
  readonly tenantId: string;
  readonly aiAgentRef: string;
  readonly callerNumber?: string;
  readonly did?: string;
  readonly status: string;
  readonly phase: string;
  readonly createdAt: string;
  readonly turnCount: number;
  readonly lastTurnMs?: number;
  readonly interruptions: number;
  readonly queuedAudioMs: number;
  readonly faultCount: number;
  readonly lastFault?: string;
}
export interface EndedCall {
  readonly sessionId: string;
  readonly callId: string;
  readonly tenantId: string;
  readonly endReason?: string;
}
export interface Who {
  readonly name: string;
  readonly tenantId?: string;
  readonly isKeyless: boolean;
  readonly may: { readonly transcripts: boolean; readonly end: boolean; readonly talk: boolean };
}
export interface Status {
  readonly problems: readonly { readonly severity: 'warning' | 'critical'; readonly text: string }[];
}
