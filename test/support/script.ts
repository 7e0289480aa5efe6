import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Rule, Script } from '../../src/simulator/script.ts';
import { FIXTURES } from './caller.ts';

/** A fixtures folder whose assistant follows these rules before those that ship. Whoever makes it removes it. */
export function scriptedFixtures(rules: Rule[]): { readonly folder: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'voice-fixtures-'));
  symlinkSync(join(FIXTURES, 'calls'), join(folder, 'calls'));
  symlinkSync(join(FIXTURES, 'manifest.json'), join(folder, 'manifest.json'));
  mkdirSync(join(folder, 'agent'));
  for (const file of readdirSync(join(FIXTURES, 'agent'))) {
    if (file.endsWith('.wav')) symlinkSync(join(FIXTURES, 'agent', file), join(folder, 'agent', file));
  }
  const script = JSON.parse(readFileSync(join(FIXTURES, 'agent', 'script.json'), 'utf8')) as Script;
  script.rules.unshift(...rules);
  writeFileSync(join(folder, 'agent', 'script.json'), JSON.stringify(script));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
