import { afterEach, beforeEach, expect, it } from 'vitest';
import type { RealtimeSession } from '../../src/realtime/session.ts';
import { describeMisfit } from '../../src/upstream/misfit.ts';
import { newSession, type TestHost } from '../support/realtime.ts';
import { ScriptedUpstream } from '../support/scripted-upstream.ts';

let upstream: ScriptedUpstream;
let session: RealtimeSession;
let host: TestHost;

beforeEach(async () => {
  upstream = await ScriptedUpstream.listen();
  ({ session, host } = newSession(upstream.url));
});
afterEach(async () => {
  session.close();
  await upstream.close();
});

const told = () => host.all('misfit').map(({ misfit }) => describeMisfit(misfit));

/** A response of the server's own, whole but for its audio. */
function respond(id: string, content: readonly object[], nameOfDelta?: string): void {
  const item = { id: `item_${id}`, type: 'message', role: 'assistant', status: 'completed', content };
  upstream.send({ type: 'response.created', response: { id } });
  if (nameOfDelta) upstream.send({ type: nameOfDelta, response_id: id, item_id: item.id, delta: 'AAAA' });
  upstream.send({ type: 'response.done', response: { id, status: 'completed', output: [item] } });
}

it('tells once what the server runs otherwise than asked', async () => {
  upstream.onSessionUpdate = () =>
    upstream.send({ type: 'session.updated', session: { audio: { output: { voice: 'alloy' } } } });
  await session.open(5_000);
  expect(told()).toEqual([
    'the server runs the session otherwise than asked: audio.output.voice is alloy instead of marin',
  ]);
});

it.each([
  ['output_audio', undefined, 'sent no response.output_audio.delta'],
  ['output_text', undefined, 'it answered in text'],
] as const)('tells of a complete answer with %s of which no audio came', async (type, delta, cause) => {
  await session.open(5_000);
  respond('r1', [{ type }], delta);
  await host.until(() => host.all('misfit').length > 0);
  expect(told()).toEqual([expect.stringContaining(cause)]);
});

it("tells of the beta's names, and that they are why nothing is heard", async () => {
  await session.open(5_000);
  respond('r1', [{ type: 'audio' }], 'response.audio.delta');
  respond('r2', [{ type: 'audio' }], 'response.audio.delta');
  await host.until(() => host.all('response_done').length > 1);
  expect(told()).toEqual([
    expect.stringContaining("response.audio.delta, a name of the API's beta"),
    expect.stringContaining("under the event names of the API's beta"),
  ]);
});

it('has nothing to tell of an answer that is heard', async () => {
  await session.open(5_000);
  respond('r1', [{ type: 'output_audio' }], 'response.output_audio.delta');
  await host.until(() => host.all('response_done').length > 0);
  expect(told()).toEqual([]);
});
