import { signal } from '@preact/signals';

/** Whether callers' numbers are asked for whole, by somebody who may see them: each look is on record. */
export const areNumbersWhole = signal(false);

/** What is asked of addresses that show numbers. */
export function numbersQuery(): Readonly<Record<string, string>> {
  return areNumbersWhole.value ? { numbers: 'full' } : {};
}
