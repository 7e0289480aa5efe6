import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = new URL('../../', import.meta.url);
const readme = readFileSync(new URL('README.md', root), 'utf8');
const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
  scripts: Record<string, string>;
};

describe('the README', () => {
  it('has the ten settings that people need, as the page of all settings has them', () => {
    const all = readFileSync(new URL('docs/configuration.md', root), 'utf8');
    const rows = [...readme.matchAll(/^\| `[A-Z0-9_]+` \|.*$/gm)].map(([row]) => row);
    expect(rows).toHaveLength(10);
    for (const row of rows) expect(all).toContain(`\n${row}\n`);
  });

  it('names only scripts that exist', () => {
    const named = [...readme.matchAll(/npm run ([a-z:-]+)/g)].map(([, name]) => name!);
    expect(named.length).toBeGreaterThan(3);
    for (const name of named) expect(scripts).toHaveProperty([name]);
  });

  it('links only to files that exist', () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link]) => link!);
    expect(links.length).toBeGreaterThan(1);
    for (const link of links) expect(existsSync(fileURLToPath(new URL(link, root))), link).toBe(true);
  });
});
