// Tries to lock, tells what came of it, and holds the lock until stdin ends: <lock file>
import { DirectoryLock, DirectoryLockedError } from '../../../src/backend/summaries/directory-lock.ts';
import { stdinEnded } from './child.ts';

const [path = ''] = process.argv.slice(2);
let lock: DirectoryLock | undefined;
try {
  lock = await DirectoryLock.acquire(path);
  console.log('held');
} catch (error) {
  console.log(error instanceof DirectoryLockedError ? `refused ${error.message}` : `failed ${error}`);
}
await stdinEnded();
await lock?.release();
