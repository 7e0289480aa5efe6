import type { RepairKind, UnusableReason } from '../upstream/host.ts';

/**
 * Every value that the labels of counters take. Counters start at 0 for each of them, so that a rate over the first
 * event is right, and a dashboard shows 0 where nothing happened yet instead of nothing.
 */

/** How a session ended, or why it was refused: end reasons and error codes of the API. */
export const SESSION_OUTCOMES = [
  'completed',
  'agent_hangup',
  'transferred',
  'idle',
  'max_duration',
  'upstream_failed',
  'shutdown',
  'agent_not_found',
  'tenant_full',
  'budget_exhausted',
  'gateway_full',
  'draining',
  'overloaded',
  'upstream_refused',
  'upstream_timeout',
  'internal',
] as const;

/** Why an upstream socket was replaced in mid-call. */
export const RECONNECT_REASONS = ['lost', 'rotated', 'worker_lost'] as const;

/** What an error of the upstream meant; `connect_…`: an attempt to connect failed. */
export const UPSTREAM_ERROR_CLASSES = [
  'benign',
  'retryable',
  'fatal',
  'response_failed',
  'failed',
  'connect_refused',
  'connect_rate_limited',
  'connect_unavailable',
  'connect_timeout',
  'connect_protocol',
  'transcription_refused',
  'misfit',
] as const;

/** Why an event of the upstream, or a part of one, was dropped or repaired. */
export const UNUSABLE_REASONS = [
  'not_json',
  'repeat',
  'id',
  'text',
  'audio',
  'item',
  'response',
  'tokens',
  'internal',
] as const satisfies readonly UnusableReason[];

/** What the gateway did where the upstream left something open. */
export const REPAIR_KINDS = [
  'request_repeated',
  'response_lost',
  'end_assumed',
  'answer_empty',
  'turn_assumed',
] as const satisfies readonly RepairKind[];

export const DIRECTIONS = ['up', 'down'] as const;

/**
 * Why audio was dropped. `late`: its place had been given up; `missing`: it never came; `repeat`: it had come before;
 * `reconnecting`: older than what is kept while there is no upstream; `upstream_…`: the upstream's own.
 */
export const REJECTED_REASONS = [
  'not_base64',
  'empty',
  'odd_length',
  'bad_wav',
  'wav_on_g711',
  'unsupported_rate',
  'unsupported_format',
  'upstream_busy',
  'late',
  'missing',
  'repeat',
  'reconnecting',
  'outbox_full',
  'internal',
  'upstream_not_base64',
  'upstream_odd_length',
  'upstream_internal',
] as const;

export const CUT_OFF_REASONS = ['not_read', 'too_fast'] as const;

export const TOOL_OUTCOMES = ['ok', 'failed', 'refused', 'cancelled'] as const;

const METHODS = new Set(['GET', 'HEAD', 'POST', 'OPTIONS', 'PUT', 'PATCH', 'DELETE']);

/** A request's method as a label: anybody can invent others. */
export function methodLabel(method: string): string {
  return METHODS.has(method) ? method : 'other';
}

/** What became of spans; `lost`: nobody took them. */
export const TRACE_OUTCOMES = ['exported', 'lost'] as const;

/** `lost`: neither the disk nor the backend took it. */
export const SUMMARY_OUTCOMES = ['delivered', 'refused', 'failed', 'lost'] as const;

/** How a call left its leg. `taken`: somebody else sent it elsewhere; `switch_lost`: the switch's connection broke. */
export const LEG_OUTCOMES = [
  'caller_hangup',
  'agent_hangup',
  'transferred',
  'taken',
  'fallback',
  'switch_lost',
] as const;

/** Why a connection to the event socket came to nothing: a foreign address, no answer, or no FreeSWITCH. */
export const LEG_REFUSALS = ['stranger', 'silent', 'garbage'] as const;

/**
 * What became of packets. `lost`: filled with silence; `late`: came when its place was filled; `unusable`: no audio of its
 * call; `stranger`: from somewhere else; `gap`: nothing to send in the midst of speech.
 */
export const LEG_PACKET_FATES = ['received', 'sent', 'lost', 'late', 'unusable', 'stranger', 'gap'] as const;
/** `lost`: the disk did not take all of it; what it took is kept. */
export const RECORDING_OUTCOMES = ['kept', 'lost'] as const;

/** What became of a request that another node was to answer. */
export const FORWARD_OUTCOMES = ['answered', 'not_here', 'refused', 'silent', 'broken'] as const;
/** Why a call went on at another node. */
export const TAKEOVER_REASONS = ['node_died', 'handed_over'] as const;
/** Why a node let go of a call that goes on elsewhere: it was taken for dead, or meant to stop. */
export const LET_GO_REASONS = ['taken', 'handed_over'] as const;
