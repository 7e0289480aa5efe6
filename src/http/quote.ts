const MAX_QUOTE_LENGTH = 80;

/** A value as an error sentence shows it: quoted, and cut where it is long. What is cut away is never written out. */
export function quote(value: unknown): string {
  const shown = write(value, MAX_QUOTE_LENGTH + 1);
  return shown.length > MAX_QUOTE_LENGTH ? `${shown.slice(0, MAX_QUOTE_LENGTH - 3)}…` : shown;
}

/** The JSON of a value, or where that is longer, at least its first `room` characters. */
function write(value: unknown, room: number): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, room));
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? String(value);
  const isList = Array.isArray(value);
  let text = isList ? '[' : '{';
  for (const name in value) {
    if (text.length > 1) text += ',';
    if (!isList) text += `${write(name, room - text.length)}:`;
    // Each level takes a character at least, so no value is too deep.
    if (text.length >= room) return text;
    text += write((value as Record<string, unknown>)[name], room - text.length);
    if (text.length >= room) return text;
  }
  return text + (isList ? ']' : '}');
}
