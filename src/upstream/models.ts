/**
 * What is known of the upstream's models. Names that are not here (deployments of Azure, other servers, what comes next)
 * are as good as any: nothing is refused for them, and nothing is said of them.
 *
 * Sources, looked at on 2026-11-28: the shutdown dates in the types of openai-node 7.59.0 and OpenAI's deprecations page
 * (https://developers.openai.com/api/docs/deprecations); what transcription models understand from the published schema of
 * the Realtime API (openai-openapi of 2026-08-21).
 */

/** A model whose end is announced. */
export interface ModelEnd {
  /** ISO date of the last day. */
  readonly endsOn: string;
  /** What takes its place. */
  readonly successor: string;
}

function ending(endsOn: string, successor: string, names: readonly string[]): [string, ModelEnd][] {
  return names.map((name) => [name, { endsOn, successor }]);
}

const MODEL_ENDS: ReadonlyMap<string, ModelEnd> = new Map([
  ...ending('2027-01-20', 'gpt-realtime-2.1', [
    'gpt-realtime',
    'gpt-realtime-2025-08-28',
    'gpt-4o-realtime-preview',
    'gpt-4o-realtime-preview-2024-10-01',
    'gpt-4o-realtime-preview-2024-12-17',
    'gpt-4o-realtime-preview-2025-06-03',
  ]),
  ...ending('2027-01-20', 'gpt-realtime-2.1-mini', [
    'gpt-realtime-mini',
    'gpt-realtime-mini-2025-10-06',
    'gpt-realtime-mini-2025-12-15',
    'gpt-4o-mini-realtime-preview',
    'gpt-4o-mini-realtime-preview-2024-12-17',
    'gpt-audio-mini',
    'gpt-audio-mini-2025-10-06',
    'gpt-audio-mini-2025-12-15',
  ]),
  ...ending('2027-02-26', 'gpt-transcribe', [
    'whisper-1',
    'gpt-4o-transcribe',
    'gpt-4o-mini-transcribe',
    'gpt-4o-mini-transcribe-2025-12-15',
    'gpt-4o-transcribe-diarize',
  ]),
]);

/** Models that answer without reasoning first, and refuse to be told how much, or to call functions in parallel. */
const WITHOUT_REASONING: ReadonlySet<string> = new Set([
  'gpt-realtime',
  'gpt-realtime-2025-08-28',
  'gpt-realtime-1.5',
  'gpt-realtime-mini',
  'gpt-realtime-mini-2025-10-06',
  'gpt-realtime-mini-2025-12-15',
]);

/** A setting of transcription that only some models have. */
export type TranscriptionOption = 'prompt' | 'keywords' | 'delay';

const TRANSCRIPTION_OPTIONS: ReadonlyMap<string, readonly TranscriptionOption[]> = new Map<
  string,
  readonly TranscriptionOption[]
>([
  ['gpt-transcribe', ['prompt', 'keywords']],
  ['gpt-live-transcribe', ['prompt', 'keywords']],
  ['gpt-realtime-whisper', ['delay']],
  ['whisper-1', ['prompt']],
  ['gpt-4o-transcribe', ['prompt']],
  ['gpt-4o-mini-transcribe', ['prompt']],
  ['gpt-4o-mini-transcribe-2025-12-15', ['prompt']],
  ['gpt-4o-transcribe-diarize', []],
]);

/** Transcribes callers where a profile does not say. */
export const DEFAULT_TRANSCRIPTION_MODEL = 'gpt-transcribe';

/** The announced end of a model; undefined: none is known. */
export function endOfModel(name: string): ModelEnd | undefined {
  return MODEL_ENDS.get(name);
}

/** Whether a model is known to refuse settings of its reasoning. */
export function isWithoutReasoning(model: string): boolean {
  return WITHOUT_REASONING.has(model) || model.startsWith('gpt-4o-');
}

/** Whether a transcription model is known to refuse a setting. */
export function refusesTranscriptionOption(model: string, option: TranscriptionOption): boolean {
  const options = TRANSCRIPTION_OPTIONS.get(model);
  return options !== undefined && !options.includes(option);
}
