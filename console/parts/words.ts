/** Numbers, times and codes as people read them. */

/** `0:07`, `12:40`, `1:02:03`. */
export function clock(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const two = (value: number) => String(value).padStart(2, '0');
  return minutes < 60
    ? `${minutes}:${two(seconds % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** `640 ms`, `1.2 s`. */
export function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}

export function bytes(count: number): string {
  if (count < 1_000_000) return `${Math.round(count / 1000)} kB`;
  return count < 1_000_000_000 ? `${Math.round(count / 1_000_000)} MB` : `${(count / 1e9).toFixed(1)} GB`;
}

/** A day is named where it is not today. */
export function moment(time: string | number): string {
  const date = new Date(time);
  const isToday = date.toDateString() === new Date().toDateString();
  const at = date.toLocaleTimeString([], { hour12: false });
  return isToday ? at : `${date.toLocaleDateString()} ${at}`;
}

/** How a call ended, in words. */
export const OUTCOMES: Readonly<Record<string, string>> = {
  completed: 'caller hung up',
  agent_hangup: 'agent hung up',
  transferred: 'transferred',
  idle: 'nobody asked for it any more',
  max_duration: 'too long, ended',
  upstream_failed: 'the AI failed',
  shutdown: 'gateway stopped',
  unknown: 'not known',
};

/** Outcomes that somebody should look at. */
export const BAD_OUTCOMES: ReadonlySet<string> = new Set(['upstream_failed', 'idle', 'shutdown', 'max_duration']);

/** Entries of a timeline, in words. What is not here is shown by its own name. */
const ENTRIES: Readonly<Record<string, string>> = {
  ready: 'the AI is ready',
  first_chunk: 'first audio of the caller',
  speech_started: 'the caller speaks',
  speech_stopped: 'the caller has finished',
  speech_ignored: 'too short to be a turn',
  dtmf: 'keys pressed',
  dtmf_sent: 'keys told to the agent',
  transcribed: 'the words of the caller are known',
  transcription_failed: 'the words of the caller could not be made out',
  response_started: 'the AI begins to answer',
  first_delta: 'first audio from the AI',
  in_outbox: 'ready for the client',
  handed_over: 'handed to the client',
  response_done: 'the AI has finished',
  interrupted: 'the caller interrupts',
  truncated: 'the AI is told what was heard',
  tool: 'tool',
  action: 'action carried out',
  no_input: 'nothing was said',
  filler: 'something to hear while waiting',
  stream_opened: 'stream opened',
  stream_closed: 'stream closed',
  ending: 'ending',
  ended: 'over',
  rotated: 'connection to the AI replaced in time',
  upstream_lost: 'connection to the AI lost',
  upstream_restored: 'connection to the AI restored',
  upstream_failed: 'the AI cannot go on',
  upstream_error: 'the AI complains',
  event_unusable: 'the AI sent something unusable',
  repaired: 'the AI left something open',
  transcription_refused: 'the AI does not transcribe',
  worker_lost: 'the session worker died',
  defect: 'a defect of the gateway',
  chunk_rejected: 'audio of the caller refused',
  chunks_missing: 'audio of the caller never came',
  reply_rejected: 'audio of the AI unusable',
  reply_cancelled: 'reply given up: nobody fetches it',
  stream_underrun: 'the client ran out of audio',
  stream_cut_off: 'stream broken off',
  expiry_ignored: 'the AI names an impossible time',
};

/** Entries that mean that something went wrong. */
export const FAULTS: ReadonlySet<string> = new Set([
  'transcription_failed',
  'upstream_lost',
  'upstream_failed',
  'upstream_error',
  'event_unusable',
  'repaired',
  'transcription_refused',
  'worker_lost',
  'defect',
  'chunk_rejected',
  'chunks_missing',
  'reply_rejected',
  'reply_cancelled',
  'stream_underrun',
  'stream_cut_off',
]);

export function entryWords(type: string): string {
  return ENTRIES[type] ?? type.replaceAll('_', ' ');
}
