import { CallError, sessionNotFound } from '../call/errors.ts';
import type { Session } from '../call/session.ts';
import type { Scope } from '../http/gateway.ts';

/** All sessions, by tenant and call. Whoever looks one up says whose they may see. */
export class SessionTable {
  /** By callId, then by tenant: two tenants may use the same callId. */
  readonly #byCall = new Map<string, Map<string, Session>>();
  readonly #byId = new Map<string, Session>();
  readonly #openByTenant = new Map<string, number>();
  readonly #open = new Set<Session>();

  /** Sessions that are being created, go on, or are ending. */
  get openCount(): number {
    return this.#open.size;
  }

  openCountOf(tenantId: string): number {
    return this.#openByTenant.get(tenantId) ?? 0;
  }

  get(tenantId: string, callId: string): Session | undefined {
    return this.#byCall.get(callId)?.get(tenantId);
  }

  byId(id: string): Session | undefined {
    return this.#byId.get(id);
  }

  /**
   * The session a request means.
   * @throws {CallError} `session_not_found`, also for another tenant's; `ambiguous_call_id` when several tenants have it
   */
  find(scope: Scope, callId: string): Session {
    const candidates = this.#byCall.get(callId);
    if (scope.tenantId !== undefined) {
      const session = candidates?.get(scope.tenantId);
      if (!session) throw sessionNotFound(callId);
      return session;
    }
    if (!candidates || candidates.size === 0) throw sessionNotFound(callId);
    if (candidates.size > 1) {
      throw new CallError('ambiguous_call_id', { callId, tenantCount: candidates.size });
    }
    const [session] = candidates.values();
    return session!;
  }

  /** `live`: it goes on, or still has something to deliver; `over`: only its summary is left. */
  standingOf({ tenantId }: Scope, callId: string): 'live' | 'over' | undefined {
    const candidates = this.#byCall.get(callId);
    if (!candidates) return undefined;
    const sessions = tenantId === undefined ? [...candidates.values()] : [candidates.get(tenantId)];
    if (sessions.some((session) => session && session.state !== 'ended')) return 'live';
    return sessions.some((session) => session) ? 'over' : undefined;
  }

  /** Sessions that a scope may see, oldest first. */
  list(scope: Scope): Session[] {
    return [...this.#byId.values()].filter(
      (session) => scope.tenantId === undefined || session.setup.tenantId === scope.tenantId,
    );
  }

  all(): Iterable<Session> {
    return this.#byId.values();
  }

  /** Adds a session in the place of an earlier one of the same call. */
  add(session: Session): void {
    const { tenantId, request } = session.setup;
    const previous = this.get(tenantId, request.callId);
    if (previous) this.#byId.delete(previous.id);
    const tenants = this.#byCall.get(request.callId) ?? new Map<string, Session>();
    this.#byCall.set(request.callId, tenants.set(tenantId, session));
    this.#byId.set(session.id, session);
    this.#open.add(session);
    this.#openByTenant.set(tenantId, this.openCountOf(tenantId) + 1);
  }

  /** The session no longer counts against the limits. Idempotent. */
  markOver(session: Session): void {
    const { tenantId } = session.setup;
    if (!this.#open.delete(session)) return;
    const left = this.openCountOf(tenantId) - 1;
    if (left > 0) this.#openByTenant.set(tenantId, left);
    else this.#openByTenant.delete(tenantId);
  }

  /** Forgets a session, unless another has taken its place. */
  remove(session: Session): void {
    const { tenantId, request } = session.setup;
    this.#byId.delete(session.id);
    const tenants = this.#byCall.get(request.callId);
    if (tenants?.get(tenantId) !== session) return;
    tenants.delete(tenantId);
    if (tenants.size === 0) this.#byCall.delete(request.callId);
  }
}
