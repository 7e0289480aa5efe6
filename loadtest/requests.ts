import { type LaneAnswer, LaneError } from './http-lane.ts';

/** The requests of a call. */
export type RequestKind = 'create' | 'stream' | 'poll' | 'end';

/** An answer's fields that matter to a caller. */
export interface Answer {
  readonly audio?: string;
  readonly transcript?: string;
  readonly seq?: number;
  readonly generation?: number;
  readonly hasMore?: boolean;
  readonly endReason?: string;
  readonly error?: string;
  readonly code?: string;
  readonly summary?: { readonly transcript?: readonly string[]; readonly endReason?: string; readonly error?: string };
}

/** What became of a request. */
export type Outcome =
  | { readonly type: 'answered'; readonly answer: Answer }
  | {
      readonly type: 'refused';
      readonly status: number;
      /** What it counts as: `stream 503 upstream_busy`. */
      readonly error: string;
      /** The gateway's sentence, if it had one. */
      readonly why: string | undefined;
    }
  /** Nobody knows whether it arrived. */
  | { readonly type: 'unanswered'; readonly error: string };

/** Sends a request and reads its answer; never rejects. */
export async function ask(kind: RequestKind, request: () => Promise<LaneAnswer>): Promise<Outcome> {
  let answer: LaneAnswer;
  try {
    answer = await request();
  } catch (error) {
    return { type: 'unanswered', error: `${kind} ${error instanceof LaneError ? error.code : 'failed'}` };
  }
  const { status } = answer;
  const body = parse(answer.body);
  if (status === 200 && body) return { type: 'answered', answer: body };
  const code = status === 200 ? 'not_json' : body?.code;
  return { type: 'refused', status, error: `${kind} ${status}${code ? ` ${code}` : ''}`, why: body?.error };
}

function parse(text: string): Answer | undefined {
  try {
    return JSON.parse(text) as Answer;
  } catch {
    return undefined;
  }
}
