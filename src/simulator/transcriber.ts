import type { Entry } from './conversation.ts';
import type { Core } from './core.ts';
import { asPublished, type OutgoingEvent } from './events.ts';
import { obfuscation } from './ids.ts';
import { callerAudioTokens, textTokens } from './usage.ts';
import type { Utterance } from './utterance.ts';

type Completed = Extract<OutgoingEvent, { type: 'conversation.item.input_audio_transcription.completed' }>;
type Failed = Extract<OutgoingEvent, { type: 'conversation.item.input_audio_transcription.failed' }>;

/** Models that deliver the whole transcript at once. */
const AT_ONCE = ['whisper-1', 'gpt-realtime-whisper'];
/** Models that are billed by the time of the audio; others by tokens. */
const BILLED_BY_DURATION = [...AT_ONCE, 'gpt-transcribe', 'gpt-live-transcribe'];

/** How the names of this server's deployments end, where it is one of Azure. */
const AZURE_DEPLOYMENT = '-deployment';
const UNDEPLOYED = { outcome: 'failed', code: 'DeploymentNotFound' } as const;

/** Transcribes the caller's turns beside the conversation, some time after they end. */
export class Transcriber {
  readonly #core: Core;
  readonly #late: (() => void)[] = [];

  constructor(core: Core) {
    this.#core = core;
  }

  /** Transcribes an item's speech, if the session has transcription on. */
  transcribe(entry: Entry, utterance: Utterance): void {
    const model = this.#core.session.wire.audio.input.transcription?.model;
    if (!model) return;
    const { faults, options } = this.#core;
    const isUndeployed = options.dialect === 'azure' && !model.endsWith(AZURE_DEPLOYMENT);
    const { outcome, code } = isUndeployed ? UNDEPLOYED : (faults.transcription ?? {});
    if (outcome === 'never') return;
    const deliver =
      outcome === 'failed'
        ? () => this.#fail(entry.item.id, code ?? 'server_error')
        : () => this.#complete(entry, utterance, model);
    if (outcome === 'late') this.#late.push(deliver);
    else this.#core.timers.after(this.#core.options.transcriptionDelayMs, deliver);
  }

  /** A response has ended: what comes late comes now. */
  responseDone(): void {
    for (const deliver of this.#late.splice(0)) deliver();
  }

  #complete(entry: Entry, utterance: Utterance, model: string): void {
    const { channel, stats } = this.#core;
    const { id } = entry.item;
    const transcript = utterance.text;
    const isByDuration = BILLED_BY_DURATION.includes(model);
    for (const delta of AT_ONCE.includes(model) ? [transcript] : (transcript.match(/\s*\S+/g) ?? [])) {
      const type = 'conversation.item.input_audio_transcription.delta' as const;
      // The padding is on the wire and not in the types.
      channel.send({ type, item_id: id, content_index: 0, delta, ...{ obfuscation: obfuscation() } });
    }
    const usage: Completed['usage'] = isByDuration
      ? { type: 'duration', seconds: Math.ceil(utterance.durationMs / 1000) }
      : tokenUsage(callerAudioTokens(utterance.durationMs), textTokens(transcript));
    const type = 'conversation.item.input_audio_transcription.completed' as const;
    if (channel.send({ type, item_id: id, content_index: 0, transcript, usage })) stats.billed(model, usage);
    if (entry.item.type === 'message' && entry.item.role === 'user') {
      for (const part of entry.item.content) if (part.type === 'input_audio') part.transcript = transcript;
    }
  }

  #fail(itemId: string, code: string): void {
    const message = `Input transcription failed for item '${itemId}'.`;
    const type = 'conversation.item.input_audio_transcription.failed' as const;
    const error = { type: 'server_error', code, message, param: null };
    this.#core.channel.send(asPublished<Failed>({ type, item_id: itemId, content_index: 0, error }));
  }
}

function tokenUsage(audioTokens: number, outputTokens: number): Completed['usage'] {
  return {
    type: 'tokens',
    total_tokens: audioTokens + outputTokens,
    input_tokens: audioTokens,
    output_tokens: outputTokens,
    input_token_details: { text_tokens: 0, audio_tokens: audioTokens },
  };
}
