import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { CapacityResult } from '../../loadtest/capacity-points.ts';
import { capacityNote } from '../../src/main/capacity-note.ts';

const results = JSON.parse(
  readFileSync(new URL('../../docs/capacity.json', import.meta.url), 'utf8'),
) as CapacityResult[];

describe('what the log says a machine carries', () => {
  it('follows from its memory and its processors', () => {
    expect(capacityNote(2, 1000, 2)).toMatchObject({ callsByMemory: 350, callsByCpu: 311 });
    expect(capacityNote(2, 2000, 2)).toMatchObject({ callsByMemory: 700, callsByCpu: 311 });
    expect(capacityNote(2, 1000, 4)).toMatchObject({ callsByMemory: 350, callsByCpu: 622 });
    expect(capacityNote('dedicated', 1000, 2)).toMatchObject({ callsByMemory: 63, callsByCpu: 175 });
  });

  it('says what the mode costs and what it gives', () => {
    expect(capacityNote('dedicated').memoryMbACall).toBeGreaterThan(capacityNote(2).memoryMbACall);
    expect(capacityNote('dedicated').meaning).toContain('SESSION_WORKERS=2');
    expect(capacityNote(3).meaning).toContain('share 3 threads');
  });

  it.each(['dedicated', 2] as const)('has figures that were measured, with %s session workers', (workers) => {
    const measured = results.filter(({ point }) => point.sessionWorkers === workers && point.calls >= 50);
    const cpu = measured.map((result) => result.cpuPercentPerCall!).toSorted((a, b) => a - b);
    const memory = measured.map((result) => result.rssMbPerCall!).toSorted((a, b) => a - b);
    const note = capacityNote(workers, 100_000, 1);
    const cpuPercentACall = 70 / note.callsByCpu;
    expect(cpuPercentACall).toBeGreaterThan(cpu[0]!);
    expect(cpuPercentACall).toBeLessThan(cpu.at(-1)!);
    expect(note.memoryMbACall).toBeGreaterThanOrEqual(memory[Math.floor(memory.length / 2)]!);
  });
});
