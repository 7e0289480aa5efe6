import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PROTOTYPES_MODULE_URL, renderPrototypesModule } from '../../scripts/design-filters.ts';

test('the committed filters are what the design comes to', () => {
  expect(readFileSync(PROTOTYPES_MODULE_URL, 'utf8')).toBe(renderPrototypesModule());
});
