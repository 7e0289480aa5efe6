import type { LoadedProfile } from '../backend/profiles/agent-profiles.ts';
import { monotonicNowMs } from '../clock.ts';
import { type ConversationItem, cutToHeard, isUnanswered } from '../upstream/conversation.ts';
import type { CallParts } from './parts.ts';
import type { RecordedAction } from './record/record.ts';
import type { CallAction } from './reply/outbox.ts';
import type { CallRequest } from './request.ts';
import type { SessionSetup } from './setup.ts';

/**
 * Entries that may have been sent since a snapshot was made, at most: a reply of five minutes has 5000. Numbers go on
 * above them, so that nothing is taken for what the client has already.
 */
const SEQ_MARGIN = 100_000;
/** Interruptions since. */
const GENERATION_MARGIN = 16;
/** More than this of a reply unheard, and the agent is asked to go on with it. */
const WORTH_GOING_ON_MS = 700;

/** A reply that the caller had yet to hear some of. */
interface OpenReply {
  readonly itemId: string;
  readonly text: string;
  readonly audioMs: number;
  readonly heardMs: number;
}

/** A switch action that the client does not have yet. */
export interface PendingAction {
  readonly action: CallAction;
  /** Absent: the gateway's own. */
  readonly toolCallId?: string | undefined;
}

/**
 * What a call needs to go on in another process: who it is, what was said and done, and the highest numbers its client was
 * given. Plain data, personal, some kilobytes. Audio is not in it.
 */
export interface CallSnapshot {
  readonly version: 1;
  readonly sessionId: string;
  readonly tenantId: string;
  readonly aiAgentRef: string;
  readonly request: CallRequest;
  readonly profile: LoadedProfile;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly ageMs: number;
  readonly items: readonly ConversationItem[];
  readonly replies: readonly OpenReply[];
  /** The agent had more to say than was told. */
  readonly isResponding: boolean;
  readonly lineCount: number;
  /** Transcript lines that the client does not have. */
  readonly lines: readonly string[];
  readonly actions: readonly RecordedAction[];
  readonly pending: readonly PendingAction[];
  readonly nextSeq: number;
  readonly generation: number;
  readonly nextChunkSeq: number;
  readonly hasCallerAudio: boolean;
}

/** A call as it is now. */
export function takeSnapshot(
  call: { readonly id: string; readonly setup: SessionSetup; readonly createdAt: Date; readonly ageMs: number },
  parts: CallParts,
): CallSnapshot {
  const { tenantId, aiAgentRef, request, profile } = call.setup;
  const { record, replyPath, tools, uplink, upstream, clock } = parts;
  const { outbox, replies } = replyPath;
  const nowMs = monotonicNowMs();
  return {
    version: 1,
    sessionId: call.id,
    tenantId,
    aiAgentRef,
    request,
    profile,
    createdAt: call.createdAt.toISOString(),
    ageMs: Math.round(call.ageMs),
    items: record.transcript.conversation.items(),
    replies: replies
      .unheard(nowMs)
      .filter(({ isFiller, wordsSoFar }) => !isFiller && wordsSoFar.text !== '')
      .map((reply) => ({ itemId: reply.itemId, ...reply.wordsSoFar, heardMs: replies.heardMs(reply.itemId, nowMs) })),
    isResponding: upstream.isCutShort,
    lineCount: record.transcript.lineCount,
    lines: outbox.undeliveredLines,
    actions: record.actions,
    pending: tools.pending,
    nextSeq: outbox.nextSeq,
    generation: outbox.generation,
    nextChunkSeq: uplink.nextChunkSeq,
    hasCallerAudio: clock.hasCallerAudio,
  };
}

/**
 * Puts a new call's parts where the old ones were.
 * @param lostMs from the snapshot to the last that was heard of the old ones: what was being said then went on for so long
 * @returns whether the agent is to go on with what it was saying
 */
export function restore(snapshot: CallSnapshot, parts: CallParts, lostMs: number): { readonly isCutShort: boolean } {
  const { record, replyPath, tools, uplink, clock, deliveries } = parts;
  const { conversation } = record.transcript;
  conversation.restore(snapshot.items);
  let isCutShort = snapshot.isResponding;
  for (const { itemId, text, audioMs, heardMs } of snapshot.replies) {
    const byThenMs = Math.min(audioMs, heardMs + Math.max(0, lostMs));
    conversation.setText(itemId, 'assistant', cutToHeard(text, byThenMs, audioMs));
    if (audioMs - byThenMs > WORTH_GOING_ON_MS) isCutShort = true;
  }
  record.actions.push(...snapshot.actions.map((action) => ({ ...action })));
  replyPath.outbox.goOnFrom(snapshot.nextSeq + SEQ_MARGIN, snapshot.generation + GENERATION_MARGIN);
  record.transcript.resume(snapshot.lineCount);
  for (const line of snapshot.lines) replyPath.outbox.pushTranscript(line);
  // The words that were on their way from the old connection will not come.
  record.transcript.giveUpTranscripts();
  tools.restore(snapshot.pending);
  uplink.goOnFrom(snapshot.nextChunkSeq);
  if (snapshot.hasCallerAudio) clock.onCallerAudio();
  clock.onClaimed();
  // What the client plays is of a generation that is over.
  deliveries.interrupted();
  const replay = conversation.replay();
  return { isCutShort: isCutShort && !isUnanswered(replay) };
}
