/** One line of a conversation, as it is shown. */
export interface Line {
  readonly id: string;
  readonly speaker: 'user' | 'agent';
  readonly text: string;
  /** What of it was not heard, because the caller interrupted. */
  readonly cut: string;
  /** More of it may come, or it may still be cut. */
  readonly isOpen: boolean;
}

/** Lines of a summary's transcript: of a call that is over only what was heard is kept. */
export function linesOf(transcript: readonly string[]): Line[] {
  return transcript.map((line, index) => {
    const isUser = line.startsWith('[User]: ');
    return {
      id: String(index),
      speaker: isUser ? 'user' : 'agent',
      text: line.replace(/^\[(User|AI)\]: /, ''),
      cut: '',
      isOpen: false,
    };
  });
}
