import { expect, it } from 'vitest';
import { ConfigError } from '../../src/config/check-environment.ts';
import { readConfig, secretsOf } from '../../src/config/config.ts';
import { maskUrl } from '../../src/config/masked-url.ts';

it.each([
  ['wss://api.openai.com/v1/realtime', 'wss://api.openai.com/v1/realtime'],
  ['wss://h/p?api-version=2&api-key=abc', 'wss://h/p?api-version=2&api-key=…'],
  ['wss://user:pa%40ss@h/p?Token=x&model=m', 'wss://…@h/p?Token=…&model=m'],
  ['https://h:x/p?sig=a&b', 'https://h:x/p?sig=…&b'],
])('masks keys in %s', (url, masked) => {
  expect(maskUrl(url)).toBe(masked);
});

it('keeps keys in URLs out of the log, and out of what is said about the configuration', () => {
  const config = readConfig({ OPENAI_REALTIME_URL: 'wss://me:pa%40ssword@h/p?api-key=0123456&model=gpt' });
  expect(secretsOf(config, {})).toEqual(expect.arrayContaining(['pa%40ssword', 'pa@ssword', '0123456']));
  expect(secretsOf(config, {})).not.toContain('gpt');
  const refusal = () => readConfig({ W3_API_URL: 'ftp://me:password@h/?key=0123456' });
  expect(refusal).toThrow(ConfigError);
  expect(refusal).not.toThrow(/password|0123456/);
});
