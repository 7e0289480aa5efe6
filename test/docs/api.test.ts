import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { LooksAnswer, LooksQuery, SignInBody, Who } from '../../src/http/console-schemas.ts';
import { FAILURES, type Failure } from '../../src/http/failures.ts';
import { CallPageAnswer, CallQuery, CallsQuery, KeptCallAnswer } from '../../src/http/history-schemas.ts';
import {
  FollowedCall,
  FollowQuery,
  Line,
  LiveCall,
  LiveChanges,
  LiveQuery,
  LiveSnapshot,
} from '../../src/http/live-schemas.ts';
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

import { StatusAnswer } from '../../src/http/status-schemas.ts';

const page = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8');

it('the API page has the table of errors, as the gateway has it', () => {
  const rows = Object.entries(FAILURES).map(([code, { status, what, advice }]: [string, Failure]) => {
    return `| \`${code}\` | ${status} | ${what}${advice === undefined ? '' : `: ${advice}`} |`;
  });
  const [, table] = page.split('| code | HTTP | what it means to a dialplan |\n| --- | --- | --- |\n');
  expect(table?.split('\n\n')[0]?.trimEnd()).toBe(rows.join('\n'));
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
    LiveQuery,
    FollowQuery,
    LiveCall,
    LiveSnapshot,
    LiveChanges,
    Line,
    FollowedCall,
    Who,
    SignInBody,
    LooksQuery,
    LooksAnswer,
    StatusAnswer,
  }),
)('the API page names every field of %s', (_name, schema) => {
  for (const field of Object.keys((schema as { properties: object }).properties)) {
    expect(page, field).toMatch(new RegExp(`[\`"]${field}[\`"=:]`));
  }
});
