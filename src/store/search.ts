import { createHash } from 'node:crypto';
import type { CallSearch } from './records.ts';

/** How many calls may begin in one millisecond. */
export const IDS_A_MS = 1024;

/** What the index takes for one word. */
const WORD = /[\p{L}\p{N}\p{M}\p{Co}]+/gu;
const MIN_NUMBER_DIGITS = 2;
/** More words than anybody means; each costs time. */
const MAX_TERMS = 16;

/** A tenant, an agent or an outcome as one word of the index, whatever characters it has. */
function facet(kind: 't' | 'a' | 'o', value: string): string {
  return kind + createHash('sha256').update(value).digest('hex').slice(0, 16);
}

/** The words by which a call is found beside what was said. */
export function facetsOf(tenantId: string, agent: string, outcome: string): string {
  return [facet('t', tenantId), facet('a', agent), facet('o', outcome)].join(' ');
}

/** What of a search is left to the full text, in FTS5's language; undefined when that is nothing. */
export function matchExpression({ tenantId, agent, outcome, q }: CallSearch): string | undefined {
  const facets = [
    ...(tenantId === undefined ? [] : [facet('t', tenantId)]),
    ...(agent === undefined ? [] : [facet('a', agent)]),
    ...(outcome === undefined ? [] : [facet('o', outcome)]),
  ];
  const terms = q === undefined ? [] : termsOf(q);
  const parts = [...facets.map((word) => `facets : ${word}`), ...terms.map((term) => `text : ${term}`)];
  return parts.length === 0 ? undefined : parts.join(' AND ');
}

/** Every word is quoted: nothing of what was asked for is read as the index's own language. */
function termsOf(q: string): string[] {
  const words = q.match(WORD)?.filter((word) => /[\p{L}\p{N}\p{Co}]/u.test(word)) ?? [];
  return words.slice(0, MAX_TERMS).map((word) => `"${word}"`);
}

/**
 * A number turned round, so that its last digits are a prefix: of a telephone number only the digits count, as people
 * write them in many ways.
 */
export function numberKey(number: string): string {
  const digits = number.replace(/\D/g, '');
  return [...(digits.length >= MIN_NUMBER_DIGITS ? digits : number.trim().toLowerCase())].reverse().join('');
}

/** The digits, turned round, that a search may mean as the end of a number. */
export function numberPrefix(q: string): string | undefined {
  if (!/^[\s\d()+./-]+$/.test(q)) return undefined;
  const digits = q.replace(/\D/g, '');
  return digits.length < MIN_NUMBER_DIGITS ? undefined : [...digits].reverse().join('');
}

/** The range of ids, `first` included and `last` not, that a search looks at. */
export function idRange({ fromMs, toMs, cursor }: CallSearch): { first: number; last: number } {
  return {
    first: (fromMs ?? 0) * IDS_A_MS,
    last: Math.min(cursor ?? Number.MAX_SAFE_INTEGER, (toMs ?? Number.MAX_SAFE_INTEGER / IDS_A_MS) * IDS_A_MS),
  };
}
