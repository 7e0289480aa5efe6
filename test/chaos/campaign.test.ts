import { describe, expect, it } from 'vitest';
import { campaign, type Playground } from './campaign.ts';
import { conversationNamed } from './conversations.ts';
import type { Harm } from './innocents.ts';
import type { Verdict } from './lab.ts';
import { type ChaosCase, caseOf, casesOf, type RecordedEvent } from './matrix.ts';

const CASES = Array.from({ length: 12 }, (_, nth) => caseOf(`turns/1/response.done@${nth + 1}/drop`));

/** A gateway that some cases kill, or do other harm to. */
class FakeLab implements Playground {
  readonly deaths: { atMs: number; lastWords: string }[] = [];
  readonly harms: Harm[] = [];
  readonly timesPlayed = new Map<ChaosCase, number>();
  killer: ChaosCase | undefined;
  harmful: ChaosCase | undefined;
  unanswered: ChaosCase | undefined;
  lateOnce: ChaosCase | undefined;
  #running = 0;

  async run(chaosCase: ChaosCase): Promise<Verdict> {
    const times = (this.timesPlayed.get(chaosCase) ?? 0) + 1;
    this.timesPlayed.set(chaosCase, times);
    const startedAtMs = performance.now();
    const deathsBefore = this.deaths.length;
    this.#running += 1;
    await new Promise((resolve) => setTimeout(resolve, 5));
    const struckAtMs = performance.now();
    if (chaosCase === this.killer) this.deaths.push({ atMs: struckAtMs, lastWords: 'TypeError: no: item\n at x' });
    if (chaosCase === this.harmful) this.harms.push({ fromMs: startedAtMs, toMs: struckAtMs, problems: ['cut off'] });
    await new Promise((resolve) => setTimeout(resolve, 5));
    this.#running -= 1;
    const violations = [
      ...(this.deaths.length > deathsBefore ? ['no answer'] : []),
      ...(chaosCase === this.unanswered || (chaosCase === this.lateOnce && times === 1) ? ['not answered'] : []),
    ];
    return { violations, outcome: 'answered', startedAtMs, endedAtMs: performance.now(), struckAtMs };
  }

  async innocentsAreThrough(): Promise<void> {}

  get isIdle(): boolean {
    return this.#running === 0;
  }
}

async function wrongCases(lab: FakeLab): Promise<Record<string, readonly string[]>> {
  const results = await campaign(lab, CASES, 6);
  expect(results.map(({ chaosCase }) => chaosCase)).toEqual(CASES);
  expect(lab.isIdle).toBe(true);
  const wrong = results.filter(({ violations }) => violations.length > 0);
  return Object.fromEntries(wrong.map(({ chaosCase, violations }) => [chaosCase.id, violations]));
}

describe('a campaign', () => {
  it('blames what killed the daemon, and not those who were there', async () => {
    const lab = new FakeLab();
    lab.killer = CASES[3];
    expect(await wrongCases(lab)).toEqual({ [CASES[3]!.id]: ['the daemon died: TypeError: no: item | at x'] });
  });

  it('blames what harmed an innocent call', async () => {
    const lab = new FakeLab();
    lab.harmful = CASES[7];
    expect(await wrongCases(lab)).toEqual({ [CASES[7]!.id]: ['an innocent call: cut off'] });
  });

  it('plays what went wrong again, and believes what goes wrong twice', async () => {
    const lab = new FakeLab();
    lab.unanswered = CASES[1];
    lab.lateOnce = CASES[2];
    expect(await wrongCases(lab)).toEqual({ [CASES[1]!.id]: ['not answered'] });
    expect(CASES.map((one) => lab.timesPlayed.get(one))).toEqual([1, 2, 2, ...Array(9).fill(1)]);
  });
});

describe('the matrix', () => {
  const delta = (itemId: string): RecordedEvent => ({
    connection: 1,
    event: { type: 'response.output_audio.delta', item_id: itemId, delta: 'AAAA' },
  });
  const recording: RecordedEvent[] = [
    { connection: 1, event: { type: 'session.created', session: {} } },
    { connection: 1, event: { type: 'response.created', response: { id: 'r', output: [{ id: 'a' }, { id: 'b' }] } } },
    ...['a', 'a', 'a', 'a', 'b'].map(delta),
    { connection: 2, event: { type: 'rate_limits.updated', rate_limits: [] } },
  ];
  const ids = (...args: Parameters<typeof casesOf>) => casesOf(...args).map(({ id }) => id);

  it('has every event with every change of every field', () => {
    const found = ids(conversationNamed('greeting'), recording);
    const at = 'greeting/1/response.created@1';
    expect(found.filter((id) => id.startsWith(at))).toEqual([
      ...['drop', 'double', 'delay-3', 'delay-5s'].map((kind) => `${at}/${kind}`),
      ...['null', 'remove', 'wrong_type', 'empty', 'cut'].map((kind) => `${at}/${kind}/type`),
      ...['null', 'remove', 'wrong_type'].map((kind) => `${at}/${kind}/response`),
      ...['null', 'remove', 'wrong_type', 'empty', 'cut'].map((kind) => `${at}/${kind}/response.id`),
      ...['null', 'remove', 'wrong_type'].map((kind) => `${at}/${kind}/response.output`),
      ...['null', 'remove', 'wrong_type'].map((kind) => `${at}/${kind}/response.output.0`),
      ...['null', 'remove', 'wrong_type', 'empty', 'cut'].map((kind) => `${at}/${kind}/response.output.0.id`),
    ]);
  });

  it('lets some stand for others that are alike', () => {
    const found = ids(conversationNamed('greeting'), recording);
    expect(found.filter((id) => id.endsWith('delta@4/drop') || id.endsWith('delta@5/drop'))).toHaveLength(2);
    expect(found.filter((id) => id.endsWith('delta@2/drop'))).toEqual([]);
    expect(found.filter((id) => id.endsWith('delta@4/null/item_id'))).toEqual([]);
    const whole = ids(conversationNamed('greeting'), recording, true);
    expect(whole.filter((id) => id.endsWith('delta@4/null/item_id'))).toHaveLength(1);
  });

  it('takes the connections that a conversation is about', () => {
    const types = (name: string) =>
      new Set(casesOf(conversationNamed(name), recording).map((one) => one.mutation.event));
    expect(types('greeting')).toContain('session.created');
    expect(types('turns')).not.toContain('session.created');
    expect([...types('reconnect')]).toEqual(['rate_limits.updated']);
  });

  it('finds each of its cases by its id', () => {
    for (const one of casesOf(conversationNamed('greeting'), recording)) expect(caseOf(one.id)).toEqual(one);
    for (const id of ['', 'turns/1/response.done@1/melt', 'turns/1/response.done@1/null', 'none/1/x@1/drop']) {
      expect(() => caseOf(id)).toThrow(/is no case|is not one of/);
    }
  });
});
