import type { ConversationHost } from '../upstream/host.ts';
import type { CallerTurns } from './caller-turns.ts';
import type { Greeting } from './greeting.ts';
import type { Interrupter } from './interrupter.ts';
import type { OwedAnswer } from './owed-answer.ts';
import type { ReplyItems } from './reply-items.ts';
import type { ResponseScheduler } from './response-scheduler.ts';
import type { RunningResponses } from './running-responses.ts';
import type { ToolRunner } from './tool-runner.ts';

/** What those who follow a conversation's responses and its connections both ask. */
export interface ConversationParts {
  readonly host: ConversationHost;
  readonly greeting: Greeting;
  readonly answer: OwedAnswer;
  readonly items: ReplyItems;
  readonly running: RunningResponses;
  readonly responses: ResponseScheduler;
  readonly interrupter: Interrupter;
  readonly tools: ToolRunner;
  readonly caller: CallerTurns;
}
