/** A part of a page of benchmarks. */
export interface Section {
  readonly title: string;
  readonly text: string;
  readonly table: string;
}

export function sectionText({ title, text, table }: Section): string {
  return `## ${title}\n\n${text}\n\n${table}\n`;
}

/** The section of a page with this title, from its heading to the next; undefined: it has none. */
export function sectionOf(page: string, title: string): string | undefined {
  const from = `\n${page}`.indexOf(`\n## ${title}\n`);
  if (from < 0) return undefined;
  const next = page.indexOf('\n## ', from + 1);
  return next < 0 ? page.slice(from) : page.slice(from, next + 1);
}

/** The page with this section in the place of the one before, or at its end. */
export function withSection(page: string, section: Section): string {
  const before = sectionOf(page, section.title);
  const text = sectionText(section);
  if (before === undefined) return `${page.trimEnd()}\n\n${text}`;
  const at = page.indexOf(before);
  const rest = page.slice(at + before.length);
  return `${page.slice(0, at)}${text}${rest === '' ? '' : `\n${rest.trimStart()}`}`;
}
