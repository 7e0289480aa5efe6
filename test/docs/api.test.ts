import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { API_ERRORS } from '../../src/http/errors.ts';
import { CallPageAnswer, CallQuery, CallsQuery, KeptCallAnswer } from '../../src/http/history-schemas.ts';
import {
  CreateAnswer,
  CreateBody,
  EndAnswer,
  ErrorAnswer,
  Health,
  ListQuery,
  PollAnswer,
  PollQuery,
  Readiness,
  SessionInfo,
  SessionList,
  StreamAnswer,
  StreamBody,
  StreamQuery,
  Summary,
} from '../../src/http/schemas.ts';

const page = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8');

it.each(Object.entries(API_ERRORS))('the API page says what %s means, and its status', (code, status) => {
  const row = page.split('\n').find((line) => line.startsWith('|') && line.includes(`\`${code}\``));
  expect(row, code).toContain(String(status));
});

it.each(
  Object.entries({
    CreateBody,
    CreateAnswer,
    StreamBody,
    StreamQuery,
    StreamAnswer,
    PollQuery,
    PollAnswer,
    EndAnswer,
    Summary,
    SessionInfo,
    ListQuery,
    SessionList,
    ErrorAnswer,
    Health,
    Readiness,
    CallsQuery,
    CallQuery,
    CallPageAnswer,
    KeptCallAnswer,
  }),
)('the API page names every field of %s', (_name, schema) => {
  for (const field of Object.keys((schema as { properties: object }).properties)) {
    expect(page, field).toMatch(new RegExp(`[\`"]${field}[\`"=:]`));
  }
});
