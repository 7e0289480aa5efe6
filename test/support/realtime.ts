import { Transcript } from '../../src/call/record/transcript.ts';
import { Playhead } from '../../src/call/reply/playhead.ts';
import { Replies } from '../../src/call/reply/replies.ts';
import type { Clock } from '../../src/clock.ts';
import { RealtimeSession, type RealtimeSetup } from '../../src/realtime/session.ts';
import type { RealtimeSettings } from '../../src/realtime/settings.ts';
import { Conversation, type ReplayItem } from '../../src/upstream/conversation.ts';
import type {
  ConnectPermit,
  ConnectRequest,
  ConnectResult,
  ConversationHost,
  InterruptVerdict,
  OpenItem,
  ReplyAudio,
  SessionEvent,
  ToolCall,
  ToolResult,
} from '../../src/upstream/host.ts';
import { DEFAULT_RECONNECT_POLICY } from '../../src/upstream/reconnect-policy.ts';

export const SETTINGS: RealtimeSettings = {
  model: 'gpt-realtime-2.1',
  instructions: 'Answer.',
  voice: 'marin',
  speed: 1,
  audioType: 'audio/pcm',
  turnDetection: { type: 'server_vad', threshold: 0.5, prefixPaddingMs: 300, silenceDurationMs: 500 },
  interruptedBy: 'server',
  noiseReduction: { type: 'near_field' },
  transcription: { model: 'gpt-transcribe', language: 'en' },
  maxOutputTokens: 4096,
  toolChoice: 'auto',
  tools: [],
};

const FRAME_MS = 60;

/**
 * The gateway around a realtime session, on a clock that the test sets: it counts what was delivered and heard with the
 * gateway's own replies, and keeps a record of everything.
 */
export class TestHost implements ConversationHost {
  nowMs = 1_000;
  generation = 0;
  readonly events: SessionEvent[] = [];
  readonly conversation = new Conversation();
  readonly #playhead = new Playhead();
  readonly #replies = new Replies(new Transcript({ pushTranscript: () => {} }), this.#playhead);
  readonly verdicts: { asked: readonly OpenItem[]; verdict: InterruptVerdict }[] = [];
  readonly receivedMs = new Map<string, number>();
  runTool: (call: ToolCall) => Promise<ToolResult> = async () => ({ output: '{}', respond: true });
  /** Audio not delivered yet, in frames. */
  #queue: { itemId: string; audioMs: number }[] = [];
  readonly #remainders = new Map<string, number>();
  readonly #cut = new Set<string>();
  readonly #waiting = new Set<() => void>();

  event(event: SessionEvent): void {
    this.events.push(event);
    if (event.type === 'item_added') this.conversation.add(event.itemId, event.previousItemId, event.role);
    if (event.type === 'item_renamed') this.conversation.rename(event.itemId, event.newItemId);
    if (event.type === 'user_text') this.conversation.setText(event.itemId, 'user', event.text);
    if (event.type === 'assistant_text') this.conversation.setText(event.itemId, 'assistant', event.text);
    for (const look of this.#waiting) look();
  }

  audio(audio: ReplyAudio): void {
    if (audio.kind === 'tool' || this.#cut.has(audio.itemId)) return;
    const { itemId } = audio;
    const added = audio.kind === 'delta' ? audio.audioMs : 0;
    this.receivedMs.set(itemId, (this.receivedMs.get(itemId) ?? 0) + added);
    let held = (this.#remainders.get(itemId) ?? 0) + added;
    for (; held >= FRAME_MS; held -= FRAME_MS) this.#frame(itemId, FRAME_MS);
    if (audio.kind === 'end' && held > 0) {
      this.#frame(itemId, held);
      held = 0;
    }
    this.#remainders.set(itemId, held);
    for (const look of this.#waiting) look();
  }

  #frame(itemId: string, audioMs: number): void {
    this.#replies.of(itemId).received(audioMs);
    this.#queue.push({ itemId, audioMs });
  }

  get queuedFrames(): number {
    return this.#queue.length;
  }

  /** Gives the client so many frames. */
  deliver(frames: number): void {
    for (const { itemId, audioMs } of this.#queue.splice(0, frames)) {
      this.#playhead.delivered(this.#replies.of(itemId), FRAME_MS, audioMs, this.nowMs);
    }
  }

  async isPlaying(items: readonly OpenItem[]): Promise<boolean> {
    return items.some((item) => this.#isUnheard(item));
  }

  async interrupt(asked: readonly OpenItem[]): Promise<InterruptVerdict> {
    // As over the bus: the answer comes in a later turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    const unheard = asked.filter((item) => this.#isUnheard(item));
    const cuts = unheard.map(({ itemId }) => ({ itemId, heardMs: this.#replies.heardMs(itemId, this.nowMs) }));
    for (const { itemId } of cuts) this.#cut.add(itemId);
    if (cuts.length > 0) {
      this.generation += 1;
      this.#queue = [];
      this.#playhead.interrupt(this.nowMs);
    }
    const heard = asked.filter((item) => !unheard.includes(item)).map(({ itemId }) => itemId);
    const verdict = { cuts, heard, isProtected: false };
    this.verdicts.push({ asked, verdict });
    return verdict;
  }

  #isUnheard({ itemId, receivedMs }: OpenItem): boolean {
    return this.#replies.heardMs(itemId, this.nowMs) < receivedMs - 1;
  }

  async history(): Promise<readonly ReplayItem[]> {
    return this.conversation.replay();
  }

  /** What became of each permit, in order. */
  readonly connectResults: ConnectResult[] = [];
  connectPermit: (request: ConnectRequest) => Promise<ConnectPermit> = async () => ({
    settle: (result) => void this.connectResults.push(result),
  });

  all<T extends SessionEvent['type']>(type: T): Extract<SessionEvent, { type: T }>[] {
    return this.events.filter((event) => event.type === type) as Extract<SessionEvent, { type: T }>[];
  }

  /** Resolves once `condition` holds, looked at after each event and piece of audio. */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve) => {
      const look = () => {
        if (!condition()) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }
}

/** A session with a host of its own, not yet open. */
export function newSession(
  url: string,
  options: Partial<RealtimeSetup> = {},
  nowMs?: Clock,
): { session: RealtimeSession; host: TestHost } {
  const host = new TestHost();
  const session = new RealtimeSession(
    {
      target: { protocol: 'realtime', url, apiKey: 'test-key', safetyIdentifier: undefined },
      settings: SETTINGS,
      policy: { ...DEFAULT_RECONNECT_POLICY, firstBackoffMs: 1 },
      minInterruptionMs: 0,
      ...options,
    },
    host,
    nowMs ?? (() => host.nowMs),
  );
  return { session, host };
}

/** A piece of caller audio, PCM at 24 kHz. */
export function frame(samples: Int16Array, voicedMs?: number) {
  return {
    base64: Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength).toString('base64'),
    audioMs: samples.length / 24,
    receivedAtMs: 0,
    ...(voicedMs === undefined ? {} : { voicedMs }),
  };
}

export function quiet(ms: number): Int16Array {
  return new Int16Array(ms * 24);
}

/** A loud hum, which any detector of energy takes for speech. */
export function loud(ms: number): Int16Array {
  return Int16Array.from({ length: ms * 24 }, (_, n) => 9000 * Math.sin((2 * Math.PI * 310 * n) / 24_000));
}
