// Waits for a moment, tries to open the store, tells what came of it, and holds it until stdin ends: <directory> <ms>
import { setTimeout as delay } from 'node:timers/promises';
import { Store } from '../../../src/store/store.ts';
import { stdinEnded } from '../../backend/support/child.ts';

const [directory = '', atMs = '0'] = process.argv.slice(2);
await delay(Math.max(0, Number(atMs) - Date.now() - 5));
while (Date.now() < Number(atMs));
let store: Store | undefined;
try {
  store = Store.open({ directory, retentionDays: 30, note: () => {} });
  console.log('held');
} catch (error) {
  console.log(`${(error as { code: string }).code} ${(error as Error).message}`);
}
await stdinEnded();
store?.close();
