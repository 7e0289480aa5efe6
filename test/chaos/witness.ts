import type { Manifest } from '../../src/simulator/script.ts';
import type { SimulatorConnection } from '../../src/simulator/server.ts';
import { manifest } from '../support/caller.ts';
import type { ChaosCase, RecordedEvent } from './matrix.ts';

/** Words run ahead of their audio, and a line that is cut ends with a whole word. */
const SLACK_MS = 1_500;

/** What the simulator did on one call, seen from its side. */
export class Witness {
  readonly connections: SimulatorConnection[] = [];
  /** Server events of the conversation, without those of the turn behind it. */
  readonly recording: RecordedEvent[] = [];
  #isRecording = true;
  /** When the mutation found its event. */
  struckAtMs: number | undefined;
  /** What it said, by item. */
  readonly #said = new Map<string, string>();

  attend(connection: SimulatorConnection): void {
    this.connections.push(connection);
    const number = this.connections.length;
    connection.on('serverEvent', (event) => {
      const { type, item_id: itemId, delta } = event as Record<string, string>;
      // Only its fields matter of audio, not its bulk.
      const kept = type === 'response.output_audio.delta' ? { ...event, delta: delta!.slice(0, 8) } : event;
      if (this.#isRecording) this.recording.push({ connection: number, event: kept as RecordedEvent['event'] });
      if (type !== 'response.output_audio_transcript.delta') return;
      this.#said.set(itemId!, (this.#said.get(itemId!) ?? '') + delta);
    });
    connection.on('mutated', () => {
      this.struckAtMs ??= performance.now();
    });
  }

  endRecording(): void {
    this.#isRecording = false;
  }

  /** What is not true of a summary's lines: words that were not said, more words than audio was delivered for. */
  untruths(transcript: readonly string[], heardMs: number): string[] {
    const lines = transcript.filter((line) => line.startsWith('[AI]: ')).map((line) => line.slice('[AI]: '.length));
    const said = [...this.#said.values()].map((text) => text.trim());
    const untrue = lines.filter((line) => !said.some((text) => text.startsWith(line)));
    if (untrue.length > 0) return [`the summary has words that were not said: ${JSON.stringify(untrue)}`];
    const neededMs = lines.reduce((sum, line) => sum + durationOf(line), 0);
    const mayMs = heardMs + SLACK_MS;
    return neededMs > mayMs
      ? [`the summary has ${Math.round(neededMs)} ms of words, ${Math.round(heardMs)} ms were delivered`]
      : [];
  }
}

/** How long the beginning of one of the recorded lines takes to say. */
function durationOf(beginning: string, { agentLines }: Manifest = manifest): number {
  const line = Object.values(agentLines).find(({ text }) => text.startsWith(beginning));
  return line ? (line.durationMs * beginning.length) / line.text.length : 0;
}

/** Whether a mutation changes the words themselves, so that nobody can tell what was said. */
export function changesWords({ mutation }: ChaosCase): boolean {
  const { event = '', change } = mutation;
  if (event.startsWith('response.output_audio_transcript.')) return true;
  return 'path' in change && /content|transcript|text|item$|part$|output$|output\.0$|response$/.test(change.path);
}
