import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EnvironmentSchema, SUBJECTS } from '../../src/config/environment.ts';

const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');

describe('the page of settings', () => {
  it.each(SUBJECTS.map((subject) => [subject.title, subject] as const))(
    'has %s as the daemon has it',
    (title, subject) => {
      const table = page.split(`## ${title}\n`)[1]?.split('\n## ')[0];
      const rows = table?.split('\n').filter((line) => line.startsWith('| `'));
      const expected = Object.entries(subject.variables).map(([name, schema]) => {
        const { default: preset, description } = schema as { default?: unknown; description?: string };
        return `| \`${name}\` | ${preset === undefined ? '' : `\`${preset}\``} | ${description} |`;
      });
      expect(rows).toEqual(expected);
    },
  );

  it('misses no variable', () => {
    const names = SUBJECTS.flatMap(({ variables }) => Object.keys(variables));
    expect(names.sort()).toEqual(Object.keys(EnvironmentSchema.properties).sort());
  });
});
