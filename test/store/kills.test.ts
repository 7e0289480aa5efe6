import { expect, test } from 'vitest';
import { tempDirectory } from '../backend/support/temp-directory.ts';
import { killRounds } from '../fuzz/store-kills.ts';

test('kill -9 in the middle of writes loses nothing, sends nothing under a second key, and breaks no file', async () => {
  await using directory = await tempDirectory();
  const { durable, failures } = await killRounds(directory.path, 4, 20261128);
  expect(failures).toEqual([]);
  expect(durable).toBeGreaterThan(4);
});
