import type { ConversationSettings } from '../upstream/settings.ts';
import type { RealtimeSettings } from './settings.ts';

/** The settings of a session as they stand: some change in the middle of a call, for the connections to come too. */
export class SessionConfig {
  #settings: RealtimeSettings;

  constructor(settings: ConversationSettings, interruptedBy: RealtimeSettings['interruptedBy']) {
    this.#settings = { ...settings, interruptedBy };
  }

  get settings(): RealtimeSettings {
    return this.#settings;
  }

  /** Whether the server interrupts its replies by itself, and answers a turn without being asked. */
  get isServerInterrupting(): boolean {
    return this.#settings.interruptedBy === 'server';
  }

  /** Whether the server tells what the caller said. */
  get isTranscribed(): boolean {
    return this.#settings.transcription !== null;
  }

  letServerInterrupt(): void {
    this.#settings = { ...this.#settings, interruptedBy: 'server' };
  }

  /** The server does not transcribe as it was asked to. */
  giveUpTranscription(): void {
    this.#settings = { ...this.#settings, transcription: null };
  }
}
