import type { ToldLine } from '../api/types.ts';

/** One line of a conversation, as it is shown. */
export interface Line {
  readonly id: number;
  readonly speaker: 'user' | 'agent';
  readonly text: string;
  /** What of it was not heard, because the caller interrupted. */
  readonly cut: string;
  /** More of it may come, or it may still be cut. */
  readonly isOpen: boolean;
}

/** A line that is told while the call goes on. */
export function lineOf({ id, role, text, heard, cut, isFinal }: ToldLine): Line {
  const isCut = cut === true && heard !== undefined;
  return {
    id,
    speaker: role,
    text: isCut ? heard : text,
    cut: isCut ? restOf(text, heard) : '',
    isOpen: !isFinal,
  };
}

/** Lines of a summary's transcript: of a call that is over only what was heard is kept. */
export function linesOf(transcript: readonly string[]): Line[] {
  return transcript.map((line, id) => ({
    id,
    speaker: line.startsWith('[User]: ') ? 'user' : 'agent',
    text: line.replace(/^\[(User|AI)\]: /, ''),
    cut: '',
    isOpen: false,
  }));
}

/** What was heard is the text's beginning, save for blanks and dots at its end. */
function restOf(text: string, heard: string): string {
  const beginning = heard.replace(/[\s.…]+$/, '');
  return text.startsWith(beginning) ? text.slice(beginning.length).trim() : text;
}
