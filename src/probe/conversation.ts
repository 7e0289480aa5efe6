import type { RealtimeFunctionTool } from 'openai/resources/realtime/realtime';
import { monotonicNowMs } from '../clock.ts';
import { errorOf } from '../realtime/incoming.ts';
import { type Answer, answerSince, judge, judgeUsage, record } from './answer.ts';
import { type Finding, good, note, warning } from './finding.ts';
import type { Talk } from './talk.ts';
import type { Sentence } from './voice.ts';

const EVENT_MS = 5_000;
const TRANSCRIPT_MS = 10_000;

/** What the probe says. */
export interface Lines {
  readonly question: Sentence;
  /** Said while the server is answering. */
  readonly interruption: Sentence;
}

const TOOL: RealtimeFunctionTool = {
  type: 'function',
  name: 'look_up_hours',
  description: 'Looks up the opening hours of a day.',
  parameters: { type: 'object', properties: { day: { type: 'string' } } },
};

/** A short conversation, which shows what a server can do of what calls need. It costs what its few responses do. */
export class ProbeConversation {
  readonly #talk: Talk;
  readonly #lines: Lines;
  readonly #isTranscribed: boolean;
  readonly #answers: (Answer | undefined)[] = [];

  /** @param isTranscribed whether the caller's words are to be waited for */
  constructor(talk: Talk, lines: Lines, isTranscribed: boolean) {
    this.#talk = talk;
    this.#lines = lines;
    this.#isTranscribed = isTranscribed;
  }

  /** Every part, in order; each tells at once. What the server cannot do keeps no later part from being tried. */
  async *run(): AsyncGenerator<Finding> {
    for (const part of [this.#greeting, this.#listening, this.#interruption, this.#cancelling, this.#tools]) {
      if (this.#talk.ended) {
        yield warning(`the rest was not tried: ${this.#talk.ended.message}`);
        return;
      }
      yield* await part.call(this);
    }
    yield* judgeUsage(this.#answers);
  }

  get #isBeta(): boolean {
    return this.#talk.betaNames.size > 0;
  }

  /** Words of the gateway's own choosing: its whole input, as the greeting and prompts of a call are asked for. */
  async #greeting(): Promise<Finding[]> {
    const { mark } = this.#talk;
    const sinceMs = monotonicNowMs();
    const content = [{ type: 'input_text' as const, text: 'Greet the caller in one short sentence.' }];
    this.#talk.send({
      type: 'response.create',
      event_id: 'probe-greeting',
      response: { input: [{ type: 'message', role: 'system', content }], metadata: { why: 'probe' } },
    });
    const answer = await answerSince(this.#talk, mark, sinceMs);
    this.#answers.push(answer);
    const findings = [...this.#errorsSince(mark), ...judge('greeting', answer, this.#isBeta)];
    if (answer && record(answer.response['metadata'])['why'] !== 'probe') {
      findings.push(note('metadata of a response does not come back: responses are told apart by their order'));
    }
    return findings;
  }

  /** The caller's turn: found by the server, transcribed, and answered without being asked to. */
  async #listening(): Promise<Finding[]> {
    const talk = this.#talk;
    const { question } = this.#lines;
    const { mark } = talk;
    await talk.speak(question.pcm);
    const stoppedAtMs = monotonicNowMs();
    const answer = await talk.hush(answerSince(talk, mark, stoppedAtMs));
    this.#answers.push(answer);
    const findings: Finding[] = [...this.#errorsSince(mark)];
    const types = new Set(talk.since(mark).map(({ type }) => type));
    const missing = ['speech_started', 'speech_stopped', 'committed'].filter(
      (name) => !types.has(`input_audio_buffer.${name}`),
    );
    findings.push(
      missing.length === 0
        ? good('turns: it found the beginning and the end of what the caller said')
        : warning(`turns: it said no ${missing.join(', no ')} while the caller spoke`),
    );
    findings.push(...judge('answer to speech', answer, this.#isBeta));
    if (this.#isTranscribed) findings.push(await this.#transcript(mark));
    return findings;
  }

  async #transcript(mark: number): Promise<Finding> {
    const { question } = this.#lines;
    const prefix = 'conversation.item.input_audio_transcription.';
    const heard = await this.#talk.next(mark, TRANSCRIPT_MS, ({ type }) =>
      [`${prefix}completed`, `${prefix}failed`].includes(type),
    );
    if (!heard) return warning(`transcription: no words of the caller within ${TRANSCRIPT_MS / 1000} s`);
    if (heard.type.endsWith('failed')) {
      const { code, message } = errorOf(heard.event['error']);
      const hint = code === 'DeploymentNotFound' ? ': name the deployment in transcription.model of the profile' : '';
      return warning(`transcription: it failed (${code ?? 'no code'}: ${message})${hint}`);
    }
    return good(`transcription: “${String(heard.event['transcript'] ?? '').trim()}” of “${question.text}”`);
  }

  /** The caller speaks into an answer, which has to end, and whose end can be cut from the server's memory. */
  async #interruption(): Promise<Finding[]> {
    const talk = this.#talk;
    const { mark } = talk;
    this.#say('Explain how to return a parcel, in at least six sentences.');
    const delta = await talk.next(mark, EVENT_MS * 2, ({ type }) => type === 'response.output_audio.delta');
    if (!delta) return [warning('interruption: there was no answer to interrupt')];
    const speech = talk.mark;
    const speaking = talk.speak(this.#lines.interruption.pcm);
    const started = await talk.next(speech, EVENT_MS, ({ type }) => type === 'input_audio_buffer.speech_started');
    const done = await talk.next(mark, EVENT_MS, ({ type }) => type === 'response.done');
    await speaking;
    const response = record(done?.event['response']);
    const reason = record(response['status_details'])['reason'];
    const findings: Finding[] = [];
    if (!started) findings.push(warning('interruption: it did not hear the caller while it was answering'));
    else if (response['status'] === 'cancelled') {
      findings.push(
        good(`interruption: it stopped answering when the caller spoke (${String(reason ?? 'no reason')})`),
      );
    } else if (done && done.atMs < started.atMs) {
      findings.push(
        note('interruption: the answer was complete before the caller spoke, which is no sign of anything'),
      );
    } else findings.push(warning('interruption: it went on answering when the caller spoke'));
    findings.push(await this.#truncation(String(delta.event['item_id'])));
    // It answers the interruption, which must be over before the next part.
    await talk.hush(answerSince(talk, speech, monotonicNowMs(), EVENT_MS * 2));
    return findings;
  }

  async #truncation(itemId: string): Promise<Finding> {
    const { mark } = this.#talk;
    this.#talk.send({
      type: 'conversation.item.truncate',
      event_id: 'probe-truncate',
      item_id: itemId,
      content_index: 0,
      audio_end_ms: 100,
    });
    const answer = await this.#talk.next(
      mark,
      EVENT_MS,
      ({ type, event }) =>
        type === 'conversation.item.truncated' ||
        (type === 'error' && errorOf(event['error']).eventId === 'probe-truncate'),
    );
    if (answer?.type === 'conversation.item.truncated') return good('memory: what was not heard can be cut from it');
    const why = answer ? errorOf(answer.event['error']).message : `no answer within ${EVENT_MS / 1000} s`;
    return warning(`memory: it remembers what an interrupted caller never heard (${why})`);
  }

  async #cancelling(): Promise<Finding[]> {
    const { mark } = this.#talk;
    this.#say('Count from one to twenty.');
    const created = await this.#talk.next(mark, EVENT_MS, ({ type }) => type === 'response.created');
    if (!created) return [warning('cancelling: it took up no request for a response')];
    this.#talk.send({ type: 'response.cancel', event_id: 'probe-cancel' });
    const answer = await answerSince(this.#talk, mark, created.atMs);
    if (answer?.status === 'cancelled') return [good('cancelling: a response can be cancelled')];
    return [warning(`cancelling: a cancelled response was ${answer?.status ?? 'never done'}`)];
  }

  async #tools(): Promise<Finding[]> {
    const talk = this.#talk;
    let { mark } = talk;
    const item = userMessage('When are you open on Saturday? Look it up.');
    talk.send({ type: 'conversation.item.create', item });
    talk.send({
      type: 'response.create',
      response: { tools: [TOOL], tool_choice: { type: 'function', name: TOOL.name! } },
    });
    const calling = await answerSince(talk, mark, monotonicNowMs());
    this.#answers.push(calling);
    const outputs = Array.isArray(calling?.response['output']) ? calling.response['output'].map(record) : [];
    const call = outputs.find(({ type, name }) => type === 'function_call' && name === TOOL.name);
    if (!call) return [...this.#errorsSince(mark), warning('tools: it calls no function when it is told to')];
    mark = talk.mark;
    const output = '{"opens":"10:00","closes":"14:00"}';
    const callId = String(call['call_id']);
    talk.send({ type: 'conversation.item.create', item: { type: 'function_call_output', call_id: callId, output } });
    const sinceMs = monotonicNowMs();
    talk.send({ type: 'response.create' });
    const answer = await answerSince(talk, mark, sinceMs);
    this.#answers.push(answer);
    return [good('tools: it calls a function'), ...judge('answer with its result', answer, this.#isBeta)];
  }

  #say(words: string): void {
    this.#talk.send({ type: 'conversation.item.create', item: userMessage(words) });
    this.#talk.send({ type: 'response.create' });
  }

  /** What the server objected to. */
  #errorsSince(mark: number): Finding[] {
    return this.#talk
      .since(mark)
      .filter(({ type }) => type === 'error')
      .map(({ event }) => {
        const { code, message } = errorOf(event['error']);
        return warning(`it objects (${code ?? 'no code'}): ${message}`);
      });
  }
}

function userMessage(text: string) {
  const content = [{ type: 'input_text' as const, text }];
  return { type: 'message' as const, role: 'user' as const, content };
}
