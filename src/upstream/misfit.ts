/** A setting that the server runs otherwise than it was asked to. Both as a person may read them. */
export interface SettingDifference {
  /** The field's path in the session: `audio.output.voice`. */
  readonly field: string;
  readonly asked: string;
  readonly said: string;
}

/**
 * A sign that the server does not speak the protocol as the gateway does.
 * - `settings`: it confirmed the session, but with other settings than it was asked for
 * - `beta_names`: its events have the names of the API's beta, which nobody here listens to
 * - `no_audio`: it completed a spoken answer of which no audio came
 */
export type Misfit =
  | { readonly kind: 'settings'; readonly differences: readonly SettingDifference[] }
  | { readonly kind: 'beta_names'; readonly eventType: string }
  | { readonly kind: 'no_audio'; readonly had: 'text' | 'audio' | 'nothing'; readonly isBeta: boolean };

/** What a sign means, in one line that names the likely cause. */
export function describeMisfit(misfit: Misfit): string {
  switch (misfit.kind) {
    case 'settings': {
      const fields = misfit.differences.map(({ field, asked, said }) => `${field} is ${said} instead of ${asked}`);
      return `the server runs the session otherwise than asked: ${fields.join('; ')}`;
    }
    case 'beta_names':
      return `the server sends ${misfit.eventType}, a name of the API's beta: it speaks the beta's protocol, not that of today (GA), and its answers are not heard`;
    case 'no_audio':
      return `the server completed an answer of which no audio came: ${causeOfSilence(misfit)}`;
  }
}

function causeOfSilence({ had, isBeta }: Extract<Misfit, { kind: 'no_audio' }>): string {
  if (isBeta) return "it sends the audio under the event names of the API's beta";
  if (had === 'text') return 'it answered in text; does the model speak, and did it take output_modalities ["audio"]?';
  if (had === 'audio') return 'it lists the audio in response.done, but sent no response.output_audio.delta';
  return 'the answer is empty';
}
