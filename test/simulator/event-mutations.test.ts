import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type EventMutation, type FIELD_CHANGES, withChange } from '../../src/simulator/event-mutations.ts';
import { faultsFromQuery } from '../../src/simulator/faults.ts';
import { RealtimeSimulator } from '../../src/simulator/server.ts';
import { INSTANT, TestClient } from './client.ts';

let simulator: RealtimeSimulator;
beforeEach(async () => {
  simulator = await RealtimeSimulator.listen(INSTANT);
});
afterEach(() => simulator.close());

/** Types of what a client gets for a response, in order. */
async function typesWith(...mutations: EventMutation[]): Promise<string[]> {
  simulator.nextConnection({ mutations });
  const client = await TestClient.connect(simulator.url);
  client.send({ type: 'response.create' });
  await client.next('response.done');
  // Whatever came behind it has come by the time of another answer.
  await client.update({});
  return client.types;
}

const AUDIO = 'response.output_audio.delta';

describe('an event that is mutated', () => {
  it('is lost, or comes twice, and no other one is', async () => {
    const usual = await typesWith();
    const audio = usual.filter((type) => type === AUDIO).length;
    const without = await typesWith({ event: AUDIO, nth: 2, change: { kind: 'drop' } });
    expect(without.filter((type) => type === AUDIO)).toHaveLength(audio - 1);
    expect(without.filter((type) => type !== AUDIO)).toEqual(usual.filter((type) => type !== AUDIO));
    const doubled = await typesWith({ event: 'response.created', change: { kind: 'double' } });
    const at = usual.indexOf('response.created');
    expect(doubled).toEqual([...usual.slice(0, at), 'response.created', ...usual.slice(at)]);
  });

  it('comes after those that follow it', async () => {
    const usual = await typesWith();
    const at = usual.indexOf('response.created');
    const late = await typesWith({ event: 'response.created', change: { kind: 'delay', events: 3 } });
    expect(late).toEqual([
      ...usual.slice(0, at),
      ...usual.slice(at + 1, at + 4),
      'response.created',
      ...usual.slice(at + 4),
    ]);
  });

  it('comes later, while others do not wait for it', async () => {
    simulator.nextConnection({ mutations: [{ event: 'response.created', change: { kind: 'delay', ms: 200 } }] });
    const client = await TestClient.connect(simulator.url);
    client.send({ type: 'response.create' });
    await client.next('response.done');
    expect(client.types).not.toContain('response.created');
    await client.next('response.created');
  });

  it('is the n-th of its connection where no type is named', async () => {
    const usual = await typesWith();
    const types = await typesWith({ nth: 3, change: { kind: 'drop' } });
    expect(types).toEqual([...usual.slice(0, 2), ...usual.slice(3)]);
  });

  it('has one field changed, of audio too', async () => {
    const mutation: EventMutation = { event: AUDIO, change: { kind: 'remove', path: 'item_id' } };
    simulator.nextConnection({ mutations: [mutation] });
    const connected = simulator.waitForConnection();
    const client = await TestClient.connect(simulator.url);
    const told = new Promise((resolve) => void connected.then((c) => c.once('mutated', (...all) => resolve(all))));
    client.send({ type: 'response.create' });
    await client.next('response.done');
    const [first, second] = client.all(AUDIO);
    expect(Object.keys(first!)).toEqual(Object.keys(second!).filter((name) => name !== 'item_id'));
    expect(await told).toEqual([mutation, { ...first!, item_id: second!.item_id }]);
  });

  it('goes to the connection it is meant for', async () => {
    const back = simulator.nextConnection({ failResponses: { code: null } }, ({ model }) => model === 'other');
    simulator.nextConnection({ unknownEvents: true }, ({ model }) => model === 'mine');
    await TestClient.connect(simulator.url, { model: 'mine' });
    back();
    await TestClient.connect(simulator.url, { model: 'other' });
    expect(simulator.connections.map(({ faults }) => faults)).toEqual([{ unknownEvents: true }, {}]);
  });
});

describe('a changed field', () => {
  const event = { type: 'x', text: 'abcd', count: 3, list: [{ id: 'a' }, { id: 'b' }], nothing: null };

  it.each<[string, (typeof FIELD_CHANGES)[number], unknown]>([
    ['text', 'null', { ...event, text: null }],
    ['text', 'wrong_type', { ...event, text: [' '] }],
    ['count', 'wrong_type', { ...event, count: 'x' }],
    ['list', 'wrong_type', { ...event, list: 'x' }],
    ['list.0', 'wrong_type', { ...event, list: [[], { id: 'b' }] }],
    ['nothing', 'wrong_type', { ...event, nothing: [] }],
    ['list.0.id', 'empty', { ...event, list: [{ id: '' }, { id: 'b' }] }],
    ['list.0', 'remove', { ...event, list: [{ id: 'b' }] }],
    ['list.1.id', 'remove', { ...event, list: [{ id: 'a' }, {}] }],
    ['count', 'negative', { ...event, count: -1 }],
    ['count', 'huge', { ...event, count: 1e300 }],
    ['text', 'cut', { ...event, text: 'ab\ud83d' }],
    ['list.7.id', 'null', event],
    ['text.length', 'null', event],
  ])('%s: %s', (path, change, expected) => {
    const before = structuredClone(event);
    expect(withChange(event, path, change)).toStrictEqual(expected);
    expect(event).toEqual(before);
  });
});

describe('a query', () => {
  const parse = (query: string) =>
    faultsFromQuery(new URLSearchParams(`fault=mutate_event&${query}`))?.faults.mutations;

  it.each<[string, EventMutation]>([
    ['', { change: { kind: 'drop' } }],
    ['fault_event=a&fault_nth=2&fault_change=double', { event: 'a', nth: 2, change: { kind: 'double' } }],
    ['fault_change=delay', { change: { kind: 'delay', events: 3 } }],
    ['fault_change=delay&fault_delay_ms=5000', { change: { kind: 'delay', ms: 5000 } }],
    ['fault_change=cut&fault_path=item.id', { change: { kind: 'cut', path: 'item.id' } }],
  ])('may ask for %s', (query, mutation) => {
    expect(parse(query)).toEqual([mutation]);
  });

  it.each([['fault_change=melt'], ['fault_change=null'], ['fault_nth=x']])('is refused: %s', (query) => {
    expect(() => parse(query)).toThrow(/fault_/);
  });
});
