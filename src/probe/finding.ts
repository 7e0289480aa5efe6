/**
 * What was found out about a server, in a sentence.
 * - `good`: it can do this
 * - `note`: worth knowing, and no calls suffer
 * - `warning`: calls work, but not all of it
 * - `problem`: no call would work
 */
export interface Finding {
  readonly level: 'good' | 'note' | 'warning' | 'problem';
  readonly text: string;
}

export const good = (text: string): Finding => ({ level: 'good', text });
export const note = (text: string): Finding => ({ level: 'note', text });
export const warning = (text: string): Finding => ({ level: 'warning', text });
export const problem = (text: string): Finding => ({ level: 'problem', text });
