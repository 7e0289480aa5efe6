/** Why audio was refused; stable, fit for a metric's label. */
export type InvalidAudioReason =
  | 'not_base64'
  | 'empty'
  | 'odd_length'
  | 'bad_wav'
  | 'wav_on_g711'
  | 'unsupported_rate'
  | 'unsupported_format';

/**
 * Audio that a client sent and that cannot be used. The message is one sentence that names what is wrong with its
 * values, and is written to be shown to that client.
 */
export class InvalidAudioError extends Error {
  override readonly name = 'InvalidAudioError';
  readonly reason: InvalidAudioReason;

  constructor(reason: InvalidAudioReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}
