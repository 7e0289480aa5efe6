/** What the page and its audio thread say to each other. */

export const PROCESSOR_NAME = 'telephone';

/** How much is recorded and played between two messages of the audio thread. */
export const BLOCK_MS = 40;

export interface TelephoneOptions {
  readonly targetMs: number;
  readonly slackMs: number;
}

export type ToTelephone =
  /** Comes from the gateway, to be played. */
  | { readonly type: 'play'; readonly samples: Int16Array }
  /** Nothing more comes from the gateway. */
  | { readonly type: 'end' }
  /** Takes the microphone's place. */
  | { readonly type: 'file'; readonly samples: Int16Array };

/** What happened during one block. */
export interface TelephoneBlock {
  readonly caller: Int16Array;
  readonly agent: Int16Array;
  readonly heldMs: number;
  readonly underruns: number;
  /** The file has been played to its end. */
  readonly isFileOver: boolean;
}
