import { availableParallelism, totalmem } from 'node:os';

/** Measured with the load tester; see docs/capacity.md. */
const MEMORY_MB_A_CALL = { dedicated: 11, shared: 2 } as const;
const CPU_PERCENT_A_CALL = { dedicated: 0.8, shared: 0.45 } as const;
/** Share of the memory and of the processors that calls may take, so that there is room for everything else. */
const USABLE = 0.7;

/** What a worker mode means on this machine, for the log at start. */
export interface CapacityNote {
  readonly memoryMbACall: number;
  /** Calls for which there is memory. */
  readonly callsByMemory: number;
  /** Calls for which there is processing power, by the measured cost of a full-duplex call with 100 ms chunks. */
  readonly callsByCpu: number;
  readonly meaning: string;
}

export function capacityNote(
  sessionWorkers: 'dedicated' | number,
  memoryMb = availableMemoryMb(),
  cpus = availableParallelism(),
): CapacityNote {
  const mode = sessionWorkers === 'dedicated' ? 'dedicated' : 'shared';
  const memoryMbACall = MEMORY_MB_A_CALL[mode];
  return {
    memoryMbACall,
    callsByMemory: Math.floor((memoryMb * USABLE) / memoryMbACall),
    callsByCpu: Math.floor((cpus * 100 * USABLE) / CPU_PERCENT_A_CALL[mode]),
    meaning:
      mode === 'dedicated'
        ? 'a thread of its own for each call: a failing session can harm no other; SESSION_WORKERS=2 fits more calls'
        : `calls share ${sessionWorkers} threads: dense; when a thread dies its calls reconnect on another`,
  };
}

/** Memory this process may use: the container's limit, where there is one. */
function availableMemoryMb(): number {
  const total = totalmem();
  const limit = process.constrainedMemory();
  return (limit > 0 && limit < total ? limit : total) / 1024 / 1024;
}
