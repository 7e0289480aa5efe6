import { Writable } from 'node:stream';
import { beforeEach, describe, expect, it } from 'vitest';
import { CallError } from '../../src/call/errors.ts';
import { Budgets } from '../../src/costs/budgets.ts';
import { Prices } from '../../src/costs/prices.ts';
import { Admission } from '../../src/main/admission.ts';
import { createLog } from '../../src/main/log.ts';

const CALL = { callId: 'call-1', tenantId: 'shop', requestId: 'r-1' };

let openByTenant: Map<string, number>;
let overloaded: string | undefined;
let outcomes: unknown[];
let lines: Record<string, unknown>[];

beforeEach(() => {
  openByTenant = new Map();
  overloaded = undefined;
  outcomes = [];
  lines = [];
});

function admission(limits: { maxSessions?: number; maxSessionsPerTenant?: number } = {}): Admission {
  const destination = new Writable({
    write(line, _encoding, done) {
      lines.push(JSON.parse(String(line)));
      done();
    },
  });
  return new Admission({
    sessions: {
      get openCount() {
        return [...openByTenant.values()].reduce((sum, count) => sum + count, 0);
      },
      openCountOf: (tenantId) => openByTenant.get(tenantId) ?? 0,
    },
    maxSessions: 10,
    maxSessionsPerTenant: undefined,
    costs: {
      prices: Prices.open(undefined),
      budgets: new Budgets({ budgetOf: (tenantId) => (tenantId === 'barred' ? 0 : undefined), onWarning() {} }),
    },
    overload: () => overloaded,
    metrics: { sessions: { inc: (labels: unknown) => outcomes.push(labels) } } as never,
    log: createLog({ level: 'info', destination }),
    ...limits,
  });
}

function refusedWith(attempt: () => void): CallError | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    if (error instanceof CallError) return error;
    throw error;
  }
}

describe('Admission', () => {
  it('takes a call while there is room, and notes nothing', () => {
    expect(refusedWith(() => admission().check(CALL))).toBeUndefined();
    expect([outcomes, lines]).toEqual([[], []]);
  });

  it.each([
    ['gateway_full', 2, undefined, { shop: 1, other: 1 }],
    ['gateway_full', 1, 1, { shop: 1 }],
    ['tenant_full', 10, 1, { shop: 1 }],
  ] as const)('refuses with %s at %s calls in all and %s a tenant', (code, maxSessions, maxSessionsPerTenant, open) => {
    openByTenant = new Map(Object.entries(open));
    const limits = { maxSessions, ...(maxSessionsPerTenant === undefined ? {} : { maxSessionsPerTenant }) };
    expect(refusedWith(() => admission(limits).check(CALL))?.code).toBe(code);
  });

  it('refuses a tenant that has spent its budget, and no other', () => {
    const one = admission();
    expect(one.refusal('barred')).toMatchObject({
      code: 'budget_exhausted',
      details: { spent: 0, budget: 0, currency: 'USD' },
    });
    expect([one.refusal('shop'), one.refusal()]).toEqual([undefined, undefined]);
  });

  it("does not count other tenants' calls against a tenant, and asks for none when nobody in particular calls", () => {
    openByTenant = new Map([['other', 5]]);
    const one = admission({ maxSessionsPerTenant: 1 });
    expect(one.refusal('shop')).toBeUndefined();
    expect(one.refusal('other')?.code).toBe('tenant_full');
    expect(one.refusal()).toBeUndefined();
  });

  it('takes a call again once another has ended', () => {
    const one = admission({ maxSessions: 1 });
    openByTenant.set('shop', 1);
    expect(one.refusal('shop')?.code).toBe('gateway_full');
    openByTenant.delete('shop');
    expect(one.refusal('shop')).toBeUndefined();
  });

  it('says why the load is too high, in the words of whoever watches it', () => {
    overloaded = 'the gateway is overloaded: its event loop is 300 ms late, its limit is 100';
    expect(admission().refusal('shop')).toMatchObject({ code: 'overloaded', details: { why: overloaded } });
  });

  it('takes none while it drains, whatever else is the matter', () => {
    const one = admission({ maxSessions: 1 });
    openByTenant.set('shop', 1);
    overloaded = 'the gateway is overloaded';
    one.drain();
    expect([one.isDraining, one.refusal()?.code]).toEqual([true, 'draining']);
  });

  it('counts and logs each call that it turns away', () => {
    const one = admission();
    one.drain();
    refusedWith(() => one.check(CALL));
    expect(outcomes).toEqual([{ outcome: 'draining' }]);
    expect(lines).toMatchObject([{ ...CALL, code: 'draining', msg: 'call refused' }]);
  });
});
