import { beforeEach, describe, expect, it } from 'vitest';
import type { CallError } from '../../src/call/errors.ts';
import type { Session } from '../../src/call/session.ts';
import { SessionTable } from '../../src/main/session-table.ts';

let count = 0;
/** As much of a session as the table looks at. */
function session(tenantId: string, callId: string): Session {
  return { id: `session-${++count}`, setup: { tenantId, request: { callId } } } as unknown as Session;
}

function codeOf(find: () => unknown): string {
  try {
    find();
    return 'found';
  } catch (error) {
    return (error as CallError).code;
  }
}

describe('SessionTable', () => {
  let table: SessionTable;
  beforeEach(() => {
    table = new SessionTable();
  });

  it('finds a session by tenant and call, and by its id', () => {
    const a = session('t1', 'call');
    table.add(a);
    expect(table.get('t1', 'call')).toBe(a);
    expect(table.byId(a.id)).toBe(a);
    expect(table.find({ tenantId: 't1' }, 'call')).toBe(a);
    expect(table.find({ tenantId: undefined }, 'call')).toBe(a);
  });

  it("tells nobody of another tenant's session", () => {
    table.add(session('t1', 'call'));
    expect(codeOf(() => table.find({ tenantId: 't2' }, 'call'))).toBe('session_not_found');
    expect(table.list({ tenantId: 't2' })).toEqual([]);
  });

  it('keeps two tenants apart who use the same callId', () => {
    const a = session('t1', 'call');
    const b = session('t2', 'call');
    table.add(a);
    table.add(b);
    expect(table.find({ tenantId: 't1' }, 'call')).toBe(a);
    expect(table.find({ tenantId: 't2' }, 'call')).toBe(b);
    expect(codeOf(() => table.find({ tenantId: undefined }, 'call'))).toBe('ambiguous_call_id');
    table.remove(a);
    expect(table.find({ tenantId: undefined }, 'call')).toBe(b);
  });

  it('lists sessions oldest first', () => {
    const all = [session('t1', 'a'), session('t2', 'b'), session('t1', 'c')];
    for (const one of all) table.add(one);
    expect(table.list({ tenantId: undefined })).toEqual(all);
    expect(table.list({ tenantId: 't1' })).toEqual([all[0], all[2]]);
  });

  it('counts open sessions by tenant, each once', () => {
    const a = session('t1', 'a');
    const b = session('t1', 'b');
    table.add(a);
    table.add(b);
    table.add(session('t2', 'a'));
    expect([table.openCount, table.openCountOf('t1'), table.openCountOf('t2')]).toEqual([3, 2, 1]);
    table.markOver(a);
    table.markOver(a);
    expect([table.openCount, table.openCountOf('t1')]).toEqual([2, 1]);
    table.markOver(b);
    expect([table.openCount, table.openCountOf('t1')]).toEqual([1, 0]);
    // What is over is still known.
    expect(table.find({ tenantId: 't1' }, 'a')).toBe(a);
  });

  it('puts a new session in the place of an earlier one, which then cannot take it away', () => {
    const first = session('t1', 'call');
    const second = session('t1', 'call');
    table.add(first);
    table.markOver(first);
    table.add(second);
    expect(table.find({ tenantId: 't1' }, 'call')).toBe(second);
    expect(table.byId(first.id)).toBeUndefined();
    table.remove(first);
    expect(table.find({ tenantId: 't1' }, 'call')).toBe(second);
    expect([...table.all()]).toEqual([second]);
  });

  it('names the call in what it says of one it does not know', () => {
    expect(() => table.find({ tenantId: undefined }, 'no-such-call')).toThrow(
      expect.objectContaining({ details: { callId: 'no-such-call', why: 'no session has this callId' } }),
    );
  });
});
