import { ApiError } from './errors.ts';
import { quote } from './quote.ts';

/** A moment of a query, in milliseconds since the epoch. @throws {ApiError} `invalid_field` */
export function timeOf(field: 'from' | 'to', text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const timeMs = Date.parse(text);
  if (timeMs >= 0) return timeMs;
  throw new ApiError(
    'invalid_field',
    `${field} is ${quote(text)}, but must be a date, or a time with its zone, since 1970`,
  );
}

/** What the store answers. @throws {ApiError} `history_unavailable` where it does not */
export async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new ApiError('history_unavailable', 'the history of calls cannot be read at the moment', { cause });
  }
}
