import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { AudioFormat } from '../../audio/codec.ts';
import { monotonicNowMs } from '../../clock.ts';
import type { LEG_OUTCOMES } from '../../metrics/labels.ts';
import { LegError } from '../errors.ts';
import type { EventSocket } from '../event-socket/event-socket.ts';
import { plainAddress } from '../event-socket/listener.ts';
import { type Fields, plainValue } from '../event-socket/message.ts';
import type { GatewayCall, LegGateway, SessionEnd } from '../gateway/leg-gateway.ts';
import { type MediaCounts, type MediaDeps, MediaLine } from '../media/media-line.ts';
import { type ChannelAudio, channelAudio } from './channel-audio.ts';
import { matchesLuaPattern } from './lua-pattern.ts';
import {
  type CallDefaults,
  type CallSettings,
  type Departure,
  isExtension,
  readDeparture,
  readSettings,
} from './settings.ts';

/** How a call left its leg. */
export type LegOutcome = (typeof LEG_OUTCOMES)[number];

/** What all legs of a process share. */
export interface LegDeps {
  readonly gateway: LegGateway;
  readonly media: MediaDeps;
  readonly defaults: CallDefaults;
  readonly log: Logger;
}

/** What became of a leg. */
export interface LegReport {
  readonly outcome: LegOutcome;
  readonly audio: MediaCounts | undefined;
}

/** How the call goes on: what the session says, or the switch. */
type CallEnd =
  | SessionEnd
  /** The caller has hung up, or the switch. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'taken' }
  | { readonly kind: 'switch_lost' };

/** Events that say something of the call. Each brings the channel's variables, so there are no more than are needed. */
const EVENTS = [
  'DTMF',
  'CHANNEL_HOLD',
  'CHANNEL_UNHOLD',
  'CHANNEL_HANGUP',
  'CHANNEL_UNPARK',
  'CHANNEL_EXECUTE_COMPLETE',
];
/** How long FreeSWITCH keeps the connection of a call that has gone, for its last events. */
const LINGER_S = 5;
/** Longest wait for an answer to be carried out. */
const ANSWER_MS = 10_000;
/** Longest wait for the words before a transfer to be played: more than may wait. */
const LAST_WORDS_MS = 6_000;
/** A transfer waits no longer for the gateway to hear of it. */
const END_WAIT_MS = 2_000;
/** Longest prompt. */
const PROMPT_MS = 60_000;
const KEY = /^[0-9A-Da-d*#]$/;

/** One call that FreeSWITCH has handed over, until it leaves. */
export class LegCall {
  readonly #socket: EventSocket;
  readonly #channel: Fields;
  readonly #deps: LegDeps;
  readonly #departure: Departure;
  readonly #end = Promise.withResolvers<CallEnd>();
  /** Aborted when the call's end is known: nothing that it waits for is waited for any more. */
  readonly #over = new AbortController();
  readonly #completed = new Map<string, (event: Fields) => void>();
  #log: Logger;
  #session: GatewayCall | undefined;
  #line: MediaLine | undefined;
  /** Keys pressed before there was a session. */
  #keys = '';
  #isOnHold = false;
  /** The call is being sent elsewhere by this leg: that it leaves the park is no news. */
  #isLeaving = false;
  #isGone = false;

  constructor(socket: EventSocket, channel: Fields, deps: LegDeps) {
    this.#socket = socket;
    this.#channel = channel;
    this.#deps = deps;
    this.#log = deps.log;
    this.#departure = readDeparture(channel, deps.defaults);
    this.#end.promise.then(() => this.#over.abort()).catch(() => {});
    socket.listen({
      onEvent: (event) => this.#onEvent(event),
      onClosed: () => this.#decide(this.#isGone ? { kind: 'gone' } : { kind: 'switch_lost' }),
    });
  }

  /** What became of its audio so far. */
  get counts(): MediaCounts | undefined {
    return this.#line?.counts;
  }

  /** Something ends the call from outside: the process stops. */
  giveUp(why: string): void {
    this.#decide({ kind: 'lost', why });
  }

  /** The whole call. Never throws. */
  async run(): Promise<LegReport> {
    const startedAtMs = monotonicNowMs();
    let end: CallEnd;
    try {
      const settings = readSettings(this.#channel);
      this.#log = this.#deps.log.child({ callId: settings.callId });
      await this.#converse(settings);
      end = await this.#end.promise;
    } catch (error) {
      // What fails because the call has gone is no failure.
      this.#decide({ kind: 'lost', why: (error as Error).message });
      end = await this.#end.promise;
      if (!(error instanceof LegError)) this.#log.error({ err: error }, 'a leg failed');
    }
    let outcome: LegOutcome = 'switch_lost';
    try {
      outcome = await this.#leave(end);
    } catch (error) {
      this.#log.warn({ err: error }, 'the call could not be sent on');
    }
    this.#line?.close();
    this.#socket.close();
    await this.#session?.end();
    const audio = this.#line?.counts;
    const why = 'why' in end ? { why: end.why } : {};
    const durationMs = Math.round(monotonicNowMs() - startedAtMs);
    this.#log.info({ outcome, ...why, durationMs, ...(audio ? rounded(audio) : {}) }, 'leg ended');
    return { outcome, audio };
  }

  // The call's way to its session

  async #converse(settings: CallSettings): Promise<void> {
    const { uuid } = settings;
    await this.#control(uuid);
    const audio = await this.#media(settings);
    const session = await this.#open(settings, audio.format);
    if (session === undefined) return;
    this.#session = session;
    if (settings.answer === 'ready') await this.#executed('answer', '', ANSWER_MS);
    await this.#connectAudio(audio, session);
    if (this.#keys !== '') session.press(this.#keys);
    if (this.#isOnHold) this.#line?.pause();
    else session.resume();
  }

  async #control(uuid: string): Promise<void> {
    if (this.#channel.get('control') !== 'full' || this.#channel.get('socket-mode') !== 'async') {
      throw new LegError('refused', 'the dialplan must say "async full" behind the address of the leg');
    }
    await Promise.all([
      this.#socket.command(`linger ${LINGER_S}`),
      this.#socket.command(`filter Unique-ID ${uuid}`),
      this.#socket.command(`event plain ${EVENTS.join(' ')}`),
    ]);
  }

  /** Has the switch settle what audio the call has: with an answer, or early. */
  async #media({ answer }: CallSettings): Promise<ChannelAudio> {
    const state = this.#channel.get('answer-state');
    if (state === 'answered' || (state === 'early' && answer !== 'first')) return channelAudio(this.#channel);
    return channelAudio(await this.#executed(answer === 'first' ? 'answer' : 'pre_answer', '', ANSWER_MS));
  }

  async #open(settings: CallSettings, format: AudioFormat): Promise<GatewayCall | undefined> {
    const listener = {
      onAudio: (audio: Uint8Array) => this.#line?.play(audio),
      onEnd: (end: SessionEnd) => this.#decide(end),
    };
    const opening = this.#deps.gateway.open({ ...settings, format }, listener, this.#over.signal);
    const session = await Promise.race([opening, this.#end.promise]);
    if (this.#over.signal.aborted) {
      // Nobody is there for it any more; what still opens is closed.
      opening.then((late) => late.end()).catch(() => {});
      return undefined;
    }
    return session as GatewayCall;
  }

  async #connectAudio({ format, packetMs }: ChannelAudio, session: GatewayCall): Promise<void> {
    const addresses = {
      local: mediaAddress(this.#socket.localAddress),
      remote: mediaAddress(this.#socket.remoteAddress),
    };
    const hear = (audio: Uint8Array) => session.send(audio);
    const line = new MediaLine(this.#deps.media, { addresses, format, packetMs, leadMs: session.leadMs, hear });
    this.#line = line;
    const { local, remote } = await line.open();
    await this.#socket.tell('unicast', {
      'local-ip': addresses.remote,
      'local-port': String(remote),
      'remote-ip': addresses.local,
      'remote-port': String(local),
      transport: 'udp',
    });
    line.start();
  }

  // What FreeSWITCH tells

  #onEvent(event: Fields): void {
    switch (event.get('event-name')) {
      case 'DTMF':
        this.#press(event.get('dtmf-digit') ?? '');
        break;
      case 'CHANNEL_HOLD':
        this.#isOnHold = true;
        this.#line?.pause();
        this.#session?.hold();
        break;
      case 'CHANNEL_UNHOLD':
        this.#isOnHold = false;
        this.#line?.resume();
        this.#session?.resume();
        break;
      case 'CHANNEL_HANGUP':
        this.#isGone = true;
        this.#decide({ kind: 'gone' });
        break;
      case 'CHANNEL_UNPARK':
        // A call that is hung up leaves the park too, and says so next.
        if (!this.#isLeaving) this.#decide({ kind: event.get('answer-state') === 'hangup' ? 'gone' : 'taken' });
        break;
      case 'CHANNEL_EXECUTE_COMPLETE': {
        const id = event.get('application-uuid') ?? '';
        this.#completed.get(id)?.(event);
        break;
      }
    }
  }

  #press(digit: string): void {
    if (!KEY.test(digit)) return;
    if (this.#session) this.#session.press(digit.toUpperCase());
    else this.#keys = (this.#keys + digit.toUpperCase()).slice(-64);
  }

  #decide(end: CallEnd): void {
    this.#end.resolve(end);
  }

  // The call's way out

  async #leave(end: CallEnd): Promise<LegOutcome> {
    this.#isLeaving = true;
    switch (end.kind) {
      case 'gone':
        return 'caller_hangup';
      case 'taken':
        return 'taken';
      case 'switch_lost':
        return 'switch_lost';
      case 'transfer':
        return this.#transfer(end.extension);
      case 'hangup':
        await this.#lastWords();
        await this.#set('ai_result', 'completed');
        await this.#hangUp('NORMAL_CLEARING');
        return 'agent_hangup';
      case 'lost':
        return this.#fallBack(end.why);
    }
  }

  async #transfer(extension: string): Promise<LegOutcome> {
    const { transferAllow, transferContext } = this.#departure;
    const isAllowed = isExtension(extension) && matchesLuaPattern(extension, transferAllow);
    if (!isAllowed) {
      return this.#fallBack(
        `the AI asked for a transfer to ${JSON.stringify(extension.slice(0, 64))}, which is not allowed here`,
      );
    }
    await this.#lastWords();
    await this.#set('ai_result', 'transferred');
    await this.#sendTo(extension, transferContext);
    return 'transferred';
  }

  async #fallBack(why: string): Promise<LegOutcome> {
    const { fallbackExtension, fallbackPrompt, context } = this.#departure;
    this.#line?.close();
    await this.#set('ai_result', 'fallback');
    await this.#set('ai_fallback_reason', why);
    if (fallbackExtension !== undefined) {
      await this.#sendTo(fallbackExtension, context);
      return 'fallback';
    }
    await this.#executed('playback', fallbackPrompt, PROMPT_MS).catch(() => {});
    await this.#hangUp('NORMAL_TEMPORARY_FAILURE');
    return 'fallback';
  }

  /** Waits for what is to be said to be heard, and for the gateway to hear of the end. */
  async #lastWords(): Promise<void> {
    await within(LAST_WORDS_MS, this.#line?.drained());
    this.#line?.close();
    await within(END_WAIT_MS, this.#session?.end());
  }

  async #sendTo(extension: string, context: string): Promise<void> {
    await this.#socket.execute('transfer', `${extension} XML ${context}`);
  }

  async #hangUp(cause: string): Promise<void> {
    await this.#socket.tell('hangup', { 'hangup-cause': cause });
  }

  async #set(name: string, value: string): Promise<void> {
    await this.#socket.execute('set', `${name}=${plainValue(value)}`);
  }

  /** Runs an application to its end, and tells what the channel is then. */
  async #executed(application: string, argument: string, timeoutMs: number): Promise<Fields> {
    const id = randomUUID();
    const { promise, resolve, reject } = Promise.withResolvers<Fields>();
    this.#completed.set(id, resolve);
    const onOver = () => reject(new LegError('closed', 'the call has gone'));
    const timer = setTimeout(
      () => reject(new LegError('no_reply', `FreeSWITCH does not come to the end of "${application}"`)),
      timeoutMs,
    );
    // On the way out the end is known already.
    if (!this.#isLeaving) this.#over.signal.addEventListener('abort', onOver, { once: true });
    try {
      await this.#socket.execute(application, argument, id);
      return await promise;
    } finally {
      // Nobody may be waiting by now.
      promise.catch(() => {});
      this.#completed.delete(id);
      clearTimeout(timer);
      this.#over.signal.removeEventListener('abort', onOver);
    }
  }
}

/** Audio goes over IPv4 alone. */
function mediaAddress(address: string): string {
  return address === '::1' ? '127.0.0.1' : plainAddress(address);
}

async function within(timeoutMs: number, promise: Promise<unknown> | undefined): Promise<void> {
  const { promise: timeout, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  await Promise.race([promise, timeout]);
  clearTimeout(timer);
}

function rounded(counts: MediaCounts): MediaCounts {
  return { ...counts, jitterMs: Math.round(counts.jitterMs * 10) / 10 };
}
