import { describeMisfit } from '../upstream/misfit.ts';
import { type Finding, good, note, problem, warning } from './finding.ts';
import { audioMsOf, type Heard, type Talk } from './talk.ts';

const ANSWER_MS = 20_000;

/** A response as it came. */
export interface Answer {
  readonly id: string | undefined;
  readonly status: string;
  readonly audioMs: number;
  /** From `sinceMs` to the first audio; undefined: there was none. */
  readonly firstAudioMs: number | undefined;
  readonly transcript: string;
  readonly response: Readonly<Record<string, unknown>>;
  readonly events: readonly Heard[];
}

/** Waits for a response that begins after `mark`, to its end. */
export async function answerSince(
  talk: Talk,
  mark: number,
  sinceMs: number,
  timeoutMs = ANSWER_MS,
): Promise<Answer | undefined> {
  const done = await talk.next(mark, timeoutMs, ({ type }) => type === 'response.done');
  if (!done) return undefined;
  const response = record(done.event['response']);
  const events = talk.since(mark);
  const first = events.find((heard) => audioMsOf(heard) > 0);
  const transcripts = events.filter(({ type }) => type === 'response.output_audio_transcript.done');
  return {
    id: typeof response['id'] === 'string' ? response['id'] : undefined,
    status: String(response['status'] ?? 'without a status'),
    audioMs: events.reduce((sum, heard) => sum + audioMsOf(heard), 0),
    firstAudioMs: first && first.atMs - sinceMs,
    transcript: transcripts.map(({ event }) => String(event['transcript'] ?? '')).join(' '),
    response,
    events,
  };
}

/** What an answer to `what` was like. */
export function judge(what: string, answer: Answer | undefined, isBeta: boolean): Finding[] {
  if (!answer) return [problem(`${what}: no response was done within ${ANSWER_MS / 1000} s`)];
  const { status, audioMs, firstAudioMs, transcript, response } = answer;
  if (status !== 'completed') {
    const details = record(response['status_details']);
    const error = record(details['error']);
    const why = [error['code'] ?? details['reason'], error['message']].filter((part) => typeof part === 'string');
    return [problem(`${what}: the response was ${status}${why.length > 0 ? ` (${why.join(': ')})` : ''}`)];
  }
  if (firstAudioMs === undefined) {
    const parts = JSON.stringify(response['output'] ?? []);
    const had = /"(output_)?audio"/.test(parts) ? 'audio' : /"(output_)?text"/.test(parts) ? 'text' : 'nothing';
    return [problem(`${what}: ${describeMisfit({ kind: 'no_audio', had, isBeta })}`)];
  }
  const findings = [
    good(`${what}: ${seconds(audioMs)} s of speech, the first of it after ${Math.round(firstAudioMs)} ms`),
  ];
  if (transcript === '') findings.push(warning(`${what}: without a transcript of what it said`));
  return findings;
}

/** Whether it counts what it costs. */
export function judgeUsage(answers: readonly (Answer | undefined)[]): Finding[] {
  const usages = answers.flatMap((answer) => (answer?.response['usage'] ? [record(answer.response['usage'])] : []));
  if (usages.length === 0) return [warning('usage: it counts no tokens, so calls show none, and no cost')];
  const details = usages.map((usage) => record(usage['input_token_details']));
  const cached = details.reduce((sum, one) => sum + (Number(one['cached_tokens']) || 0), 0);
  const hasDetails = details.some((one) => 'audio_tokens' in one);
  return [
    hasDetails ? good('usage: tokens of text and of audio') : warning('usage: tokens in all, not those of audio apart'),
    note(
      cached > 0 ? `caching: ${cached} tokens of these responses were cached` : 'caching: nothing of this was cached',
    ),
  ];
}

export function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}
