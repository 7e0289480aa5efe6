import { signal } from '@preact/signals';
import { messageOf } from '../api/failure.ts';
import { PhoneLine, SLACK_MS, TARGET_MS } from './phone-line.ts';
import {
  BLOCK_MS,
  PROCESSOR_NAME,
  type TelephoneBlock,
  type TelephoneOptions,
  type ToTelephone,
} from './processor-messages.ts';
import { Recording } from './recording.ts';
import processorUrl from './telephone-processor.ts?worker&url';
import { type Heard, rmsOf, TurnClock } from './turn-clock.ts';

/** A rate that the gateway speaks and that speech needs no more than. */
const SAMPLE_RATE_HZ = 16_000;
/** After the last word of a file the agent may still answer. */
const AFTER_FILE_MS = 12_000;

export type PhoneState = 'idle' | 'connecting' | 'talking' | 'over';

/** What a call from this page is made with: this machine's microphone, or a recording. */
export type Voice = { readonly kind: 'microphone' } | { readonly kind: 'file'; readonly file: File };

/** A telephone in the page. One call at a time; what is shown of it are signals. */
export class Phone {
  readonly state = signal<PhoneState>('idle');
  readonly callId = signal<string | undefined>(undefined);
  readonly problem = signal<string | undefined>(undefined);
  readonly endReason = signal<string | undefined>(undefined);
  readonly heard = signal<readonly Heard[]>([]);
  /** Root mean squares, 0 to 32768, of the last block. */
  readonly levels = signal({ caller: 0, agent: 0 });
  readonly buffer = signal({ heldMs: 0, underruns: 0 });
  readonly talkedMs = signal(0);
  readonly recording = signal<Recording | undefined>(undefined);
  #call: OngoingCall | undefined;

  async call(voice: Voice, aiAgentRef: string | undefined): Promise<void> {
    if (this.state.value === 'connecting' || this.state.value === 'talking') return;
    this.state.value = 'connecting';
    this.problem.value = undefined;
    this.endReason.value = undefined;
    this.heard.value = [];
    this.recording.value = undefined;
    this.talkedMs.value = 0;
    this.callId.value = undefined;
    const call = new OngoingCall(this);
    this.#call = call;
    try {
      await call.start(voice, aiAgentRef);
      if (this.#call === call && !call.isOver) this.state.value = 'talking';
    } catch (error) {
      await call.over(undefined, sentenceOf(error));
    }
  }

  async hangUp(): Promise<void> {
    await this.#call?.hangUp();
  }

  async press(key: string): Promise<void> {
    await this.#call?.press(key);
  }
}

/** What belongs to one call and is closed with it. */
class OngoingCall {
  readonly #phone: Phone;
  readonly #context = new AudioContext({ sampleRate: SAMPLE_RATE_HZ, latencyHint: 'interactive' });
  readonly #recording = new Recording(SAMPLE_RATE_HZ);
  readonly #turns: TurnClock;
  #microphone: MediaStream | undefined;
  #node: AudioWorkletNode | undefined;
  #line: PhoneLine | undefined;
  #blocks = 0;
  #fileOverForMs = 0;
  isOver = false;

  constructor(phone: Phone) {
    this.#phone = phone;
    this.#turns = new TurnClock((heard) => {
      phone.heard.value = [...phone.heard.value, heard];
    });
  }

  async start(voice: Voice, aiAgentRef: string | undefined): Promise<void> {
    if (!this.#context.audioWorklet) {
      throw new Error('Browsers give sound to secure pages only: open the console with https, or on 127.0.0.1.');
    }
    const samples = voice.kind === 'file' ? await this.#decoded(voice.file) : undefined;
    if (voice.kind === 'microphone') {
      this.#microphone = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
    }
    await this.#connectSound();
    const callId = `console-${crypto.randomUUID().slice(0, 8)}`;
    const line = new PhoneLine(callId, SAMPLE_RATE_HZ, {
      onAudio: (audio) => this.#tell({ type: 'play', samples: audio }, [audio.buffer]),
      onPause: () => this.#tell({ type: 'end' }),
      onOver: (endReason, why) => void this.#ended(endReason, why),
    });
    await line.dial(aiAgentRef);
    if (this.isOver) return line.hangUp();
    this.#line = line;
    this.#phone.callId.value = callId;
    if (samples) this.#tell({ type: 'file', samples });
  }

  async #connectSound(): Promise<void> {
    await this.#context.audioWorklet.addModule(processorUrl);
    const processorOptions: TelephoneOptions = { targetMs: TARGET_MS, slackMs: SLACK_MS };
    this.#node = new AudioWorkletNode(this.#context, PROCESSOR_NAME, {
      numberOfInputs: 1,
      numberOfOutputs: 1,
      outputChannelCount: [1],
      channelCount: 1,
      channelCountMode: 'explicit',
      processorOptions,
    });
    this.#node.port.onmessage = ({ data }: MessageEvent<TelephoneBlock>) => this.#block(data);
    this.#node.connect(this.#context.destination);
    if (this.#microphone) this.#context.createMediaStreamSource(this.#microphone).connect(this.#node);
    await this.#context.resume();
  }

  async hangUp(): Promise<void> {
    if (this.#line) await this.#line.hangUp();
    else await this.over('completed', undefined);
  }

  async press(key: string): Promise<void> {
    await this.#line?.press(key);
  }

  /** Lets go of microphone and sound card. Idempotent. */
  async over(endReason: string | undefined, why: string | undefined): Promise<void> {
    if (this.isOver) return;
    this.isOver = true;
    for (const track of this.#microphone?.getTracks() ?? []) track.stop();
    if (this.#node) this.#node.port.onmessage = null;
    await this.#context.close().catch(() => {});
    const phone = this.#phone;
    phone.levels.value = { caller: 0, agent: 0 };
    phone.endReason.value = endReason;
    phone.problem.value = why;
    if (this.#blocks > 0) phone.recording.value = this.#recording;
    phone.state.value = 'over';
  }

  /** What came last is still in the buffer. */
  async #ended(endReason: string | undefined, why: string | undefined): Promise<void> {
    if (endReason !== 'completed') await new Promise((resolve) => setTimeout(resolve, TARGET_MS + SLACK_MS));
    await this.over(endReason, why);
  }

  async #decoded(file: File): Promise<Int16Array> {
    let audio: AudioBuffer;
    try {
      audio = await this.#context.decodeAudioData(await file.arrayBuffer());
    } catch (cause) {
      throw new Error(`${file.name} is no recording that this browser can read.`, { cause });
    }
    const channels = Array.from({ length: audio.numberOfChannels }, (_, channel) => audio.getChannelData(channel));
    return Int16Array.from({ length: audio.length }, (_, i) =>
      Math.round((channels.reduce((sum, samples) => sum + samples[i]!, 0) / channels.length) * 32_767),
    );
  }

  #block({ caller, agent, heldMs, underruns, isFileOver }: TelephoneBlock): void {
    // Before the call stands there is nobody to talk to.
    if (this.isOver || !this.#line) return;
    this.#blocks += 1;
    this.#line.say(caller);
    this.#recording.add(caller, agent);
    const levels = { caller: rmsOf(caller), agent: rmsOf(agent) };
    this.#turns.block(BLOCK_MS, levels.caller, levels.agent);
    this.#phone.talkedMs.value = this.#blocks * BLOCK_MS;
    // Ten times a second is enough to look at.
    if (this.#blocks % 3 === 0) {
      this.#phone.levels.value = levels;
      this.#phone.buffer.value = { heldMs, underruns };
    }
    this.#fileOverForMs = isFileOver && levels.agent < 100 ? this.#fileOverForMs + BLOCK_MS : 0;
    if (this.#fileOverForMs >= AFTER_FILE_MS) void this.hangUp();
  }

  #tell(message: ToTelephone, transfer: Transferable[] = []): void {
    this.#node?.port.postMessage(message, transfer);
  }
}

function sentenceOf(error: unknown): string {
  const { name } = error as Error;
  if (name === 'NotAllowedError')
    return 'The browser does not give the microphone to this page: allow it, and call again.';
  if (name === 'NotFoundError') return 'This machine has no microphone. A WAV file will do as well: drop one here.';
  return messageOf(error);
}
