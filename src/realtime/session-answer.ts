import type { SettingDifference } from '../upstream/misfit.ts';

/** How the beta of the API called its audio formats. */
const BETA_FORMATS: Readonly<Record<string, string>> = {
  pcm16: 'audio/pcm',
  g711_ulaw: 'audio/pcmu',
  g711_alaw: 'audio/pcma',
};

/** Numbers that went through 32-bit floats are as good as equal. */
const EPSILON = 1e-4;

type Fields = Readonly<Record<string, unknown>>;

/**
 * What of the formats, the voice and the turn detection a server has set otherwise than it was asked to, by the session
 * that it confirms. What it does not speak of is taken to be as asked: not every server repeats the whole session.
 * @param asked `session` of the `session.update`
 * @param answer `session` of the `session.updated`
 */
export function differences(asked: unknown, answer: unknown): SettingDifference[] {
  const want = sides(asked);
  const have = sides(answer);
  const found: SettingDifference[] = [];
  const look = (field: string, wanted: unknown, said: unknown) => {
    if (wanted === undefined || said === undefined || isSame(wanted, said)) return;
    found.push({ field, asked: shown(wanted), said: shown(said) });
  };
  for (const side of ['input', 'output'] as const) {
    look(`audio.${side}.format`, formatOf(want[side]['format']), formatOf(have[side]['format']));
  }
  look('audio.output.voice', voiceOf(want.output['voice']), voiceOf(have.output['voice']));
  const wanted = want.input['turn_detection'];
  const said = have.input['turn_detection'];
  const isOff = (said === null) !== (wanted === null) && said !== undefined;
  if (isOff || fields(wanted)['type'] !== fields(said)['type']) {
    look('audio.input.turn_detection', kindOf(wanted), kindOf(said));
  } else {
    for (const name of Object.keys(fields(wanted))) {
      look(`audio.input.turn_detection.${name}`, fields(wanted)[name], fields(said)[name]);
    }
  }
  return found;
}

/** Whether a session has the shape that it had in the beta of the API. */
export function isBetaSession(session: unknown): boolean {
  return ['input_audio_format', 'output_audio_format', 'modalities'].some((name) => name in fields(session));
}

/** The settings of both directions, from where a server may have them: `audio`, or the session itself. */
function sides(session: unknown): { input: Fields; output: Fields } {
  const top = fields(session);
  const { input, output } = fields(top['audio']);
  return {
    input: { format: top['input_audio_format'], turn_detection: top['turn_detection'], ...fields(input) },
    output: { format: top['output_audio_format'], voice: top['voice'], ...fields(output) },
  };
}

function formatOf(value: unknown): string | undefined {
  if (typeof value === 'string') return BETA_FORMATS[value] ?? value;
  const { type, rate } = fields(value);
  if (typeof type !== 'string') return undefined;
  return typeof rate === 'number' && rate !== usualRate(type) ? `${type};rate=${rate}` : type;
}

function usualRate(type: string): number {
  return type === 'audio/pcm' ? 24_000 : 8_000;
}

function voiceOf(value: unknown): unknown {
  const { id } = fields(value);
  return typeof id === 'string' ? id : (value ?? undefined);
}

function kindOf(detection: unknown): string | undefined {
  if (detection === undefined) return undefined;
  const { type } = fields(detection);
  return detection === null ? 'off' : typeof type === 'string' ? type : undefined;
}

function isSame(wanted: unknown, said: unknown): boolean {
  if (typeof wanted === 'number' && typeof said === 'number') return Math.abs(wanted - said) < EPSILON;
  return JSON.stringify(wanted) === JSON.stringify(said);
}

/** A value of the wire for people; what a server makes up may be long. */
function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.slice(0, 100).toWellFormed();
}

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}
