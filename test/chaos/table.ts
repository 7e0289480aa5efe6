import type { Result } from './campaign.ts';
import { CONVERSATIONS } from './conversations.ts';
import { KINDS } from './matrix.ts';

/** Mutations by conversations: cases, and behind a `!` how many of them went wrong. */
export function table(results: readonly Result[]): string {
  const names = CONVERSATIONS.map(({ name }) => name);
  const cell = (of: readonly Result[]) => {
    const wrong = of.filter(({ violations }) => violations.length > 0).length;
    return of.length === 0 ? '–' : wrong === 0 ? String(of.length) : `${of.length} !${wrong}`;
  };
  const row = (title: string, of: readonly Result[]) => [
    title,
    ...names.map((name) => cell(of.filter(({ chaosCase }) => chaosCase.conversation.name === name))),
    cell(of),
  ];
  const rows = [
    ['', ...names, 'all'],
    ...KINDS.map((kind) =>
      row(
        kind,
        results.filter(({ chaosCase }) => chaosCase.kind === kind),
      ),
    ),
    row('all', results),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)));
  return rows
    .map((cells) =>
      cells.map((text, at) => (at === 0 ? text.padEnd(widths[at]!) : text.padStart(widths[at]!))).join('  '),
    )
    .join('\n');
}
