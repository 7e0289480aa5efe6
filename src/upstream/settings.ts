/** How a call's turns are found. Durations in milliseconds. */
export type TurnDetection =
  | {
      readonly type: 'server_vad';
      /** 0–1; higher needs louder speech. */
      readonly threshold: number;
      readonly prefixPaddingMs: number;
      /** Silence that ends a turn: the largest part of the answering time. */
      readonly silenceDurationMs: number;
    }
  | { readonly type: 'semantic_vad'; readonly eagerness: 'low' | 'medium' | 'high' | 'auto' };

/** The encodings that an AI speaks; PCM is 24 kHz, G.711 8 kHz. */
export type UpstreamAudioType = 'audio/pcm' | 'audio/pcmu' | 'audio/pcma';

/** How the caller's words are found. What a model does not understand, the server refuses. */
export interface Transcription {
  readonly model: string;
  /** ISO 639; absent: found by the model. */
  readonly language?: string;
  readonly prompt?: string;
  readonly keywords?: readonly string[];
  readonly delay?: 'minimal' | 'low' | 'medium' | 'high' | 'xhigh';
}

export interface NoiseReduction {
  readonly type: 'near_field' | 'far_field';
  /** 0–1. */
  readonly strength?: number;
}

/** What the AI's server does with a conversation that outgrows the model. */
export type Truncation =
  | 'auto'
  | 'disabled'
  | {
      /** How much of it is kept, 0–1. */
      readonly retentionRatio: number;
      /** Most tokens behind the instructions. */
      readonly postInstructionsTokens?: number;
    };

export type ReasoningEffort = 'minimal' | 'low' | 'medium' | 'high' | 'xhigh';

/** A function that the model may call. */
export interface FunctionTool {
  readonly name: string;
  readonly description?: string;
  /** JSON Schema of its arguments. */
  readonly parameters: unknown;
}

/** What a call asks of the AI. A protocol that has no word for one of these does without it. */
export interface ConversationSettings {
  readonly model: string;
  readonly instructions: string;
  readonly voice: string | { readonly id: string };
  /** 0.25–1.5. */
  readonly speed: number;
  readonly audioType: UpstreamAudioType;
  readonly turnDetection: TurnDetection;
  readonly noiseReduction: NoiseReduction | null;
  /** null: the caller's words are not transcribed. */
  readonly transcription: Transcription | null;
  readonly maxOutputTokens: number | 'inf';
  /** Absent: as the model has it. So are the next two. */
  readonly reasoningEffort?: ReasoningEffort | undefined;
  readonly truncation?: Truncation | undefined;
  readonly parallelToolCalls?: boolean | undefined;
  readonly toolChoice: 'auto' | 'none' | 'required' | { readonly type: 'function'; readonly name: string };
  readonly tools: readonly FunctionTool[];
  /** Laid over the session as it is sent, in the words of the protocol. */
  readonly more?: Readonly<Record<string, unknown>> | undefined;
}
