/** Calls that began within one of these are one sum of usage: every time zone's day is a whole number of them. */
export const USAGE_SLOT_MS = 900_000;
