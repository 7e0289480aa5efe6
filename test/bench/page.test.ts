import { expect, it } from 'vitest';
import { sectionOf, sectionText, withSection } from '../../bench/support/page.ts';

const PAGE = '# Benchmarks\n\nHead.\n\n## Bus\n\nBus text.\n\n| a |\n\n## HTTP\n\nHTTP text.\n';
const section = (title: string, text: string) => ({ title, text, table: '| t |' });

it('finds a section by its title, from its heading to the next', () => {
  expect(sectionOf(PAGE, 'Bus')).toBe('## Bus\n\nBus text.\n\n| a |\n\n');
  expect(sectionOf(PAGE, 'HTTP')).toBe('## HTTP\n\nHTTP text.\n');
  expect(sectionOf(PAGE, 'HT')).toBeUndefined();
});

it('puts a new section at the end, and replaces one that is there without touching the others', () => {
  const added = withSection(PAGE, section('Peer', 'One.'));
  expect(added).toBe(`${PAGE}\n## Peer\n\nOne.\n\n| t |\n`);
  expect(withSection(added, section('Peer', 'Two.'))).toBe(`${PAGE}\n## Peer\n\nTwo.\n\n| t |\n`);
  const bus = withSection(PAGE, section('Bus', 'New.'));
  expect(bus).toBe(`# Benchmarks\n\nHead.\n\n${sectionText(section('Bus', 'New.'))}\n## HTTP\n\nHTTP text.\n`);
});
