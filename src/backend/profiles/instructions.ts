import { placeholderNames, replacePlaceholders } from './placeholders.ts';

/** What the texts of a profile may name. Absent and empty values read `unknown`. */
export interface CallValues {
  readonly callId: string;
  readonly tenantId: string;
  readonly aiAgentRef: string;
  readonly storeId?: string | undefined;
  readonly callerNumber?: string | undefined;
  readonly did?: string | undefined;
}

const NAMES = new Set(['callId', 'tenantId', 'aiAgentRef', 'storeId', 'callerNumber', 'did', 'now']);
const MAX_VALUE_LENGTH = 128;
const MAX_NUMBER_LENGTH = 40;
const ABSENT = 'unknown';

/**
 * Fills `{{callerNumber}}`, `{{did}}`, `{{storeId}}`, `{{tenantId}}`, `{{callId}}`, `{{aiAgentRef}}` and `{{now}}`
 * (ISO 8601, UTC) into a text for the model. A placeholder of any other name is left out; `unknownPlaceholders` finds
 * those when a profile is loaded.
 *
 * What is filled in becomes part of the prompt, and a caller chooses what their switch sends as a number. So numbers
 * keep only what numbers and SIP addresses are made of, without spaces (no sentence gets through), at most 40
 * characters; the other values lose control and invisible characters and line breaks, at most 128 characters. Braces
 * in values mean nothing.
 */
export function fillPlaceholders(text: string, values: CallValues, now: Date = new Date()): string {
  return replacePlaceholders(text, (name) => {
    switch (name) {
      case 'callerNumber':
      case 'did':
        return asNumber(values[name]) || ABSENT;
      case 'storeId':
      case 'tenantId':
      case 'callId':
      case 'aiAgentRef':
        return asLine(values[name]) || ABSENT;
      case 'now':
        return now.toISOString();
      default:
        return '';
    }
  });
}

/** Names of the placeholders in a text that nothing will be filled in for. */
export function unknownPlaceholders(text: string): string[] {
  return placeholderNames(text).filter((name) => !NAMES.has(name));
}

function asNumber(value = ''): string {
  return value.replace(/[^0-9A-Za-z+*#.:@_-]/g, '').slice(0, MAX_NUMBER_LENGTH);
}

function asLine(value = ''): string {
  return value
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
    .slice(0, MAX_VALUE_LENGTH)
    .toWellFormed();
}
