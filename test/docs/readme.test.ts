import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { EnvironmentSchema } from '../../src/main/config.ts';

const root = new URL('../../', import.meta.url);
const readme = readFileSync(new URL('README.md', root), 'utf8');
const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
  scripts: Record<string, string>;
};

describe('the README', () => {
  it.each(Object.entries(EnvironmentSchema.properties))('has %s with its default and what it does', (name, schema) => {
    const { default: preset, description } = schema as unknown as { default?: unknown; description: string };
    const shown = preset === undefined ? '' : `\`${preset}\``;
    expect(readme).toContain(`| \`${name}\` | ${shown} | ${description} |`);
  });

  it('names only scripts that exist', () => {
    const named = [...readme.matchAll(/npm run ([a-z:]+)/g)].map(([, name]) => name!);
    expect(named.length).toBeGreaterThan(3);
    for (const name of named) expect(scripts).toHaveProperty([name]);
  });

  it('links only to files that exist', () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link]) => link!);
    expect(links.length).toBeGreaterThan(1);
    for (const link of links) expect(existsSync(fileURLToPath(new URL(link, root))), link).toBe(true);
  });
});
