import type { NumberStyle } from '../store/records.ts';
import { ApiError } from './errors.ts';
import type { Scope } from './gateway.ts';
import type { Permission } from './key-ring.ts';

/** Whether whoever asks may do it. */
export function may({ by }: Scope, permission: Permission): boolean {
  return by?.may.includes(permission) ?? true;
}

/** Who asks, as the record of looks names them. */
export function nameOf({ by }: Scope): string {
  return by?.name ?? 'gateway';
}

/** How numbers are shown. @throws {ApiError} `forbidden` where they are asked for by a key that may not see them */
export function numbersOf(scope: Scope, numbers: NumberStyle = 'masked'): NumberStyle {
  if (numbers === 'masked' || may(scope, 'numbers')) return numbers;
  throw new ApiError('forbidden', 'numbers is "full", but the API key may not see whole numbers');
}

/** @throws {ApiError} `forbidden` for a tenant's key */
export function operatorOnly({ by }: Scope, what: string): void {
  if (by?.tenantId === undefined) return;
  throw new ApiError('forbidden', `${what} is for the operator's key`);
}
