import { monotonicNowMs } from '../clock.ts';
import { connectRealtime, type RealtimeConnection } from '../realtime/connection.ts';
import { errorOf } from '../realtime/incoming.ts';
import { isBetaSession } from '../realtime/session-answer.ts';
import type { UpstreamTarget } from '../upstream/ai-conversation.ts';
import { describeMisfit } from '../upstream/misfit.ts';
import type { ConversationSettings } from '../upstream/settings.ts';
import { type HandshakeAnswer, UpstreamError } from '../upstream/upstream-error.ts';
import { type Finding, good, note, problem, warning } from './finding.ts';
import { Talk } from './talk.ts';

const ITEM_TIMEOUT_MS = 2_000;
const MAX_QUOTED = 200;

export interface Meeting {
  readonly findings: readonly Finding[];
  /** Absent where there is no session; otherwise whoever met the server closes it. */
  readonly talk?: Talk;
  /** Whether the server was asked to transcribe the caller, and did not say no. */
  readonly isTranscribed: boolean;
}

/**
 * Connects as a call would, and finds out what the server says of itself without having it answer, which would cost.
 * @param timeoutMs for the session to be ready
 */
export async function meet(
  target: UpstreamTarget,
  settings: ConversationSettings,
  timeoutMs: number,
): Promise<Meeting> {
  const startedAtMs = monotonicNowMs();
  let connection: RealtimeConnection;
  try {
    const asCallsAre = { ...settings, interruptedBy: 'server' } as const;
    connection = await connectRealtime({ target, settings: asCallsAre, timeoutMs, nowMs: monotonicNowMs });
  } catch (error) {
    return { findings: [whyNot(error, target)], isTranscribed: false };
  }
  const findings = [good(`session ready after ${Math.round(monotonicNowMs() - startedAtMs)} ms`)];
  const talk = new Talk(connection);
  if (isAzure(connection.handshakeHeaders)) {
    findings.push(
      note('the server is one of Azure: OPENAI_REALTIME_MODEL, and the models of profiles, are deployments'),
    );
  }
  if (connection.createdSession === undefined) {
    findings.push(note('it says session.updated without session.created before: calls do not wait for that'));
  }
  const { misfit, transcriptionRefusal } = connection;
  if (misfit) findings.push(warning(describeMisfit(misfit)));
  if (transcriptionRefusal) {
    const { code, message } = transcriptionRefusal;
    const model = settings.transcription?.model;
    findings.push(
      warning(`it refuses to transcribe with ${model} (${code}: ${message}): the caller's words are in no transcript`),
    );
  }
  findings.push(...(await namesOf(talk, connection)));
  return { findings, talk, isTranscribed: settings.transcription !== null && !transcriptionRefusal };
}

/** An item of the conversation costs nothing, and the event that acknowledges it has another name in the beta. */
async function namesOf(talk: Talk, { createdSession, confirmedSession }: RealtimeConnection): Promise<Finding[]> {
  const { mark } = talk;
  const content = [{ type: 'input_text' as const, text: 'The line is being tested.' }];
  talk.send({
    type: 'conversation.item.create',
    event_id: 'probe-item',
    item: { type: 'message', role: 'system', content },
  });
  const answer = await talk.next(mark, ITEM_TIMEOUT_MS, ({ type }) =>
    ['conversation.item.added', 'conversation.item.done', 'error'].includes(type),
  );
  const [eventType] = talk.betaNames;
  if (eventType !== undefined) return [problem(describeMisfit({ kind: 'beta_names', eventType }))];
  if (isBetaSession(confirmedSession ?? createdSession)) {
    return [
      problem("its session has the shape of the API's beta: it speaks the beta's protocol, not that of today (GA)"),
    ];
  }
  if (answer === undefined)
    return [warning(`it acknowledged no item of the conversation within ${ITEM_TIMEOUT_MS} ms`)];
  if (answer.type === 'error') {
    return [warning(`it takes no system message: ${errorOf(answer.event['error']).message}`)];
  }
  return [good("events have today's names (GA)")];
}

/** Why there is no session, with what is likely to help. */
function whyNot(error: unknown, target: UpstreamTarget): Finding {
  if (!(error instanceof UpstreamError)) throw error;
  const { answer, code } = error;
  const cause = (error.cause as Error | undefined)?.message;
  if (answer === undefined) {
    const isOutOfReach = error.class !== 'refused' && code !== 'credentials';
    const text = code === 'credentials' && cause !== undefined ? cause : error.message;
    if (isOutOfReach) return warning(`${text}: nothing is known of the server`);
    const isBeta = code === 'beta_api_shape_disabled';
    return problem(isBeta ? `${text}: is there an OpenAI-Beta header in OPENAI_HEADERS_FILE?` : text);
  }
  const words = wordsOf(answer);
  const said = words === undefined ? '' : `, saying: ${words}`;
  const { status } = answer;
  if (status === 401 || status === 403) return problem(`${error.message}${said}. ${keyHint(answer, target)}`);
  if (status === 404) return problem(`${error.message}${said}. ${notFoundHint(answer)}`);
  return error.retryable ? warning(`${error.message}${said}`) : problem(`${error.message}${said}`);
}

function keyHint(answer: HandshakeAnswer, { scheme = 'bearer', apiKey, apiKeyFile }: UpstreamTarget): string {
  const hasKey = apiKey !== undefined || apiKeyFile !== undefined;
  if (!hasKey || scheme === 'none') return 'No key was sent: set OPENAI_API_KEY or OPENAI_HEADERS_FILE';
  const looksLikeAzure = isAzure(answer.headers) || /subscription key/i.test(answer.body);
  if (looksLikeAzure && scheme === 'bearer') {
    return 'It answers as Azure does, which takes keys in the header api-key: set OPENAI_AUTH=api-key, or give an Entra token in OPENAI_API_KEY_FILE';
  }
  if (!looksLikeAzure && scheme === 'api-key') {
    return 'The key was sent in the header api-key, as Azure wants it: is OPENAI_AUTH=bearer meant?';
  }
  return 'Is it the key of this server, and may it use the model?';
}

function notFoundHint({ headers }: HandshakeAnswer): string {
  return isAzure(headers)
    ? 'On Azure the path is /openai/v1/realtime, and the model is the name of a deployment'
    : 'Is the path of OPENAI_REALTIME_URL right (/v1/realtime), and does the model exist?';
}

function isAzure(headers: Readonly<Record<string, unknown>>): boolean {
  return ['x-ms-region', 'apim-request-id', 'x-ms-client-request-id'].some((name) => name in headers);
}

/** The server's own words, without what it may repeat of a key. */
function wordsOf({ body }: HandshakeAnswer): string | undefined {
  try {
    const { error } = JSON.parse(body) as { error?: { message?: unknown } };
    const message = typeof error?.message === 'string' ? error.message : undefined;
    return message
      ?.replace(/\S*\*{3,}\S*/g, '…')
      .slice(0, MAX_QUOTED)
      .replace(/[\s.]+$/, '');
  } catch {
    return undefined;
  }
}
