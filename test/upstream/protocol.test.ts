import { expect, it } from 'vitest';
import { protocolOf } from '../../src/upstream/protocol.ts';

it.each([
  ['gpt-realtime-2.1', 'realtime'],
  ['a deployment of mine', 'realtime'],
  ['', 'realtime'],
] as const)('takes the model %j to speak %s', (model, protocol) => {
  expect(protocolOf({}, model)).toBe(protocol);
});

it('believes the profile first', () => {
  expect(protocolOf({ upstream: 'realtime' }, 'whatever')).toBe('realtime');
});
