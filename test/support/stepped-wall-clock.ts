/**
 * Loaded into a process with `--import`, on each of its threads: its wall clock is ahead of the true one by as many
 * milliseconds as the file `WALL_CLOCK_FILE` says, from when the file is read next. Monotonic clocks are left alone.
 */
import { readFileSync } from 'node:fs';

const READ_EVERY_MS = 20;

const TrueDate = Date;
const file = process.env['WALL_CLOCK_FILE'] ?? '';
let aheadMs = 0;

class SteppedDate extends TrueDate {
  constructor(...args: unknown[]) {
    if (args.length === 0) super(SteppedDate.now());
    else super(...(args as [number]));
  }

  static override now(): number {
    return TrueDate.now() + aheadMs;
  }
}

function read(): void {
  try {
    aheadMs = Number(readFileSync(file, 'utf8')) || 0;
  } catch {
    // It is being written.
  }
}

read();
setInterval(read, READ_EVERY_MS).unref();
globalThis.Date = SteppedDate as DateConstructor;
