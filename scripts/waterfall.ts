import type { CallEvents } from '../src/call/call-info.ts';

const BAR_WIDTH = 40;

/** What the turns show already. */
const IN_TURNS = new Set(['response_started', 'first_delta', 'in_outbox', 'handed_over']);

const HOP_NAMES: Readonly<Record<string, string>> = {
  response_started: 'response started',
  first_delta: 'first audio from the AI',
  in_outbox: 'in the outbox',
  handed_over: 'handed to the client',
  upstream_restored: 'upstream reconnected',
};

const TRIGGERS = {
  greeting: 'the agent greets',
  speech: 'the caller spoke',
  dtmf: 'the caller pressed keys',
  no_input: 'nothing was said',
} as const;

/** A call's timeline for the terminal: its figures, each turn as a waterfall of its hops, then everything else. */
export function waterfall(call: CallEvents): string {
  return [...head(call), '', ...call.turns.flatMap((turn) => [...turnLines(turn), '']), ...eventLines(call)].join('\n');
}

function head(call: CallEvents): string[] {
  const { figures } = call;
  const tokens = Object.entries(figures.tokens)
    .filter(([, count]) => count > 0)
    .map(([type, count]) => `${type} ${count}`);
  return [
    `call ${call.callId} of ${call.tenantId}: ${call.endReason ?? call.status}`,
    `  ${call.createdAt}, agent ${call.aiAgentRef}, ${call.encoding} ${call.sampleRate} Hz, session ${call.sessionId}`,
    `  ${list([
      figures.setupMs === undefined ? 'never ready' : `ready after ${ms(figures.setupMs)}`,
      count(figures.turns, 'caller turn'),
      figures.medianTurnMs === undefined ? undefined : `answered in ${ms(figures.medianTurnMs)} (median)`,
      count(figures.interruptions, 'interruption'),
      count(figures.toolCalls, 'tool call'),
      count(figures.reconnects, 'reconnect'),
    ])}`,
    `  ${list([
      `audio ${figures.audioSeconds.up} s up, ${figures.audioSeconds.down} s down`,
      figures.droppedChunks > 0 ? `${count(figures.droppedChunks, 'chunk')} dropped` : 'no chunk dropped',
      figures.droppedAudioMs > 0 ? `${ms(figures.droppedAudioMs)} lost while reconnecting` : undefined,
    ])}`,
    `  ${tokens.length > 0 ? `tokens: ${tokens.join(', ')}` : 'no tokens'}`,
  ];
}

function turnLines(turn: CallEvents['turns'][number]): string[] {
  const { trigger, atMs, speechMs, hops, latencyMs, status, interrupted } = turn;
  const totalMs = Math.max(1, (hops.at(-1)?.atMs ?? atMs) - atMs);
  const title = list([
    `turn ${turn.turn}: ${TRIGGERS[trigger]}${speechMs === undefined ? '' : ` for ${ms(speechMs)}`}`,
    latencyMs === undefined ? 'no audio was handed over' : `answered in ${ms(latencyMs)}`,
    status === undefined || status === 'completed' ? undefined : `response ${status}`,
  ]);
  const bars = hops.map(({ hop, tool, atMs: endMs, tookMs, durationMs = tookMs }) => {
    const from = Math.max(0, Math.round(((endMs - durationMs - atMs) / totalMs) * BAR_WIDTH));
    const to = Math.max(from + 1, Math.round(((endMs - atMs) / totalMs) * BAR_WIDTH));
    const start = Math.min(from, BAR_WIDTH - 1);
    const bar = ' '.repeat(start) + '█'.repeat(Math.min(to, BAR_WIDTH) - start);
    const name = tool === undefined ? (HOP_NAMES[hop] ?? hop) : `tool ${tool}`;
    return `  ${name.slice(0, 26).padEnd(26)} ${ms(durationMs).padStart(9)} │${bar.padEnd(BAR_WIDTH)}│`;
  });
  const cut = interrupted
    ? [
        `  interrupted at ${clock(interrupted.atMs)}: ${ms(interrupted.heardMs)} were heard, stopped within ${ms(interrupted.reactionMs)}`,
      ]
    : [];
  return [`${clock(atMs)}  ${title}`, ...bars, ...cut];
}

function eventLines({ events, omittedEvents }: CallEvents): string[] {
  const rest = events
    .filter(({ type }) => !IN_TURNS.has(type))
    .map(({ atMs, type, ...details }) => `  ${clock(atMs)}  ${type.padEnd(20)} ${detailText(details)}`.trimEnd());
  return ['events', ...rest, ...(omittedEvents > 0 ? [`  (${omittedEvents} left out of the middle)`] : [])];
}

function detailText(details: Readonly<Record<string, unknown>>): string {
  return Object.entries(details)
    .map(([name, value]) =>
      typeof value === 'object' && value !== null ? `${name} (${countsText(value)})` : `${name} ${String(value)}`,
    )
    .join(', ');
}

/** What was counted at all. */
function countsText(counts: object): string {
  const found = Object.entries(counts).filter(([, value]) => value !== 0);
  return found.map(([name, value]) => `${name} ${String(value)}`).join(', ') || 'none';
}

/** Minutes, seconds and milliseconds since the call began. */
function clock(atMs: number): string {
  const whole = Math.round(atMs);
  const seconds = Math.floor(whole / 1000);
  const text = `${String(seconds % 60).padStart(2, '0')}.${String(whole % 1000).padStart(3, '0')}`;
  return `${String(Math.floor(seconds / 60)).padStart(2, ' ')}:${text}`;
}

function ms(value: number): string {
  return value >= 10_000 ? `${(value / 1000).toFixed(1)} s` : `${value >= 100 ? Math.round(value) : value} ms`;
}

function count(value: number, what: string): string {
  return `${value === 0 ? 'no' : value} ${what}${value === 1 ? '' : 's'}`;
}

function list(parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined).join(', ');
}
