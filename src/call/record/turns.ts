import type { TimelineEvent } from './timeline.ts';

/** A step on the way from the caller's last word to the reply in the client's hands. */
export interface Hop {
  readonly hop: string;
  readonly atMs: number;
  /** Milliseconds since the step before it. */
  readonly tookMs: number;
  /** The tool's name, where the step is a tool. */
  readonly tool?: string;
  /** Of a tool and of a reconnect: how long it took itself. `tookMs` has in it what was said before. */
  readonly durationMs?: number;
}

/** One turn of a call: what the agent was asked, and how its answer came about. Times as in {@link TimelineEvent}. */
export interface Turn {
  readonly turn: number;
  /** What the agent answers: its own greeting, speech, keys, or a prompt because nothing was said. */
  readonly trigger: 'greeting' | 'speech' | 'dtmf' | 'no_input';
  /** When the trigger was complete: for speech, when the upstream took the caller to have finished. */
  readonly atMs: number;
  /** How long the caller spoke. */
  speechMs?: number;
  readonly hops: Hop[];
  /** To the first reply audio handed to the client. Absent: there was none. */
  latencyMs?: number;
  /** How the last response of the turn ended, as the upstream said. */
  status?: string;
  interrupted?: { readonly atMs: number; readonly reactionMs: number; readonly heardMs: number };
}

const TRIGGERS: Readonly<Record<string, Turn['trigger']>> = {
  ready: 'greeting',
  speech_stopped: 'speech',
  dtmf_sent: 'dtmf',
  no_input: 'no_input',
};

/** Entries of a timeline that are steps of a turn. */
export const HOPS: ReadonlySet<string> = new Set([
  'response_started',
  'first_delta',
  'in_outbox',
  'handed_over',
  'tool',
  'upstream_restored',
]);

/** Finds the turns of a call in its timeline. */
export function turnsOf(events: readonly TimelineEvent[]): Turn[] {
  const turns: Turn[] = [];
  let turn: Turn | undefined;
  let lastAtMs = 0;
  let speechStartedAtMs: number | undefined;
  for (const event of events) {
    const { type, atMs } = event;
    // A call that goes on with another worker is `ready` a second time.
    const trigger = type === 'ready' && turns.length > 0 ? undefined : TRIGGERS[type];
    if (trigger !== undefined) {
      turn = { turn: 0, trigger, atMs, hops: [] };
      turns.push(turn);
      lastAtMs = atMs;
      if (trigger === 'speech' && speechStartedAtMs !== undefined) turn.speechMs = tenths(atMs - speechStartedAtMs);
    } else if (type === 'speech_started') {
      speechStartedAtMs = atMs;
    } else if (type === 'speech_ignored') {
      // Too short to be a turn: it is part of the one before it.
      const ignored = turns.findLastIndex((candidate) => candidate.trigger === 'speech');
      if (ignored >= 0 && turns[ignored]!.hops.length === 0) turns.splice(ignored, 1);
      turn = turns.at(-1);
    } else if (turn && HOPS.has(type)) {
      turn.hops.push({
        hop: type,
        atMs,
        tookMs: tenths(atMs - lastAtMs),
        ...(type === 'tool' ? { tool: String(event.name) } : {}),
        ...durationOf(event),
      });
      lastAtMs = atMs;
      if (type === 'handed_over') turn.latencyMs ??= tenths(atMs - turn.atMs);
    } else if (turn && type === 'response_done') {
      turn.status = String(event.status);
    } else if (turn && type === 'interrupted') {
      turn.interrupted = {
        atMs,
        reactionMs: Number(event.reactionMs),
        heardMs: Number(event.heardMs),
      };
    }
  }
  // A call whose agent waits to be spoken to has no greeting.
  return turns
    .filter(({ trigger, hops }) => trigger !== 'greeting' || hops.length > 0)
    .map((found, index) => ({ ...found, turn: index + 1 }));
}

/** Steps that may begin long after the step before them say how long they took. */
function durationOf({ type, durationMs, outageMs }: TimelineEvent): { readonly durationMs?: number } {
  const own = type === 'tool' ? durationMs : type === 'upstream_restored' ? outageMs : undefined;
  return typeof own === 'number' ? { durationMs: own } : {};
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
