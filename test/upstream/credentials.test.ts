import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { credentialHeaders } from '../../src/upstream/credentials.ts';

const folder = mkdtempSync(join(tmpdir(), 'credentials-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('credentials', () => {
  it.each([
    [{ apiKey: 'k' }, { authorization: 'Bearer k' }],
    [{ apiKey: 'k', scheme: 'api-key' }, { 'api-key': 'k' }],
    [{ apiKey: 'k', scheme: 'none' }, {}],
    [{ apiKey: undefined }, {}],
  ] as const)('%j become %j', (credentials, expected) => {
    expect(credentialHeaders(credentials)).toEqual(expected);
  });

  it('reads a token anew each time', () => {
    const apiKeyFile = file('token', 'first.token.here\n');
    expect(credentialHeaders({ apiKey: undefined, apiKeyFile })).toEqual({ authorization: 'Bearer first.token.here' });
    file('token', 'second.token.here');
    expect(credentialHeaders({ apiKey: undefined, apiKeyFile })).toEqual({ authorization: 'Bearer second.token.here' });
  });

  it('lets headers of a file go over its own', () => {
    const headersFile = file('headers.json', '{"Authorization": "Basic abc", "X-Team": "voice"}');
    expect(credentialHeaders({ apiKey: 'k', headersFile })).toEqual({ authorization: 'Basic abc', 'x-team': 'voice' });
  });

  it.each([
    ['not json', 'it is not JSON'],
    ['["secret"]', 'it is not a JSON object'],
    ['{"x-key": 5}', '"x-key" is not a text'],
    ['{"x-key": "secret\\nother: header"}', '"x-key" cannot be a header'],
    ['{"bad name": "secret"}', '"bad name" cannot be a header'],
  ])('refuses %s without repeating it', (text, problem) => {
    const headersFile = file('bad.json', text);
    const refused = () => credentialHeaders({ apiKey: 'k', headersFile });
    expect(refused).toThrow(problem);
    expect(refused).not.toThrow('secret');
  });

  it('refuses a file without a key, and one that is not there', () => {
    const empty = { apiKey: undefined, apiKeyFile: file('empty', '\n') };
    expect(() => credentialHeaders(empty)).toThrow('has no key');
    expect(() => credentialHeaders({ apiKey: undefined, apiKeyFile: join(folder, 'none') })).toThrow('cannot be read');
  });
});
