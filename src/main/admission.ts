import type { Logger } from 'pino';
import { CallError } from '../call/errors.ts';
import type { Costs } from '../costs/call-costs.ts';
import { sentenceOf } from '../http/errors.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { SessionTable } from './session-table.ts';

export interface AdmissionOptions {
  readonly sessions: Pick<SessionTable, 'openCount' | 'openCountOf'>;
  readonly maxSessions: number;
  /** Absent: a tenant has no limit of its own. */
  readonly maxSessionsPerTenant: number | undefined;
  readonly costs: Costs;
  /** Why new calls are to be refused because of the load, if they are. */
  readonly overload?: (() => string | undefined) | undefined;
  readonly metrics: Pick<Metrics, 'sessions'>;
  readonly log: Logger;
}

/** A call that asks to be taken, as the log names it. */
export interface CallName {
  readonly callId: string;
  readonly tenantId: string;
  readonly requestId: string;
}

/**
 * Whether one more call is taken: not while the gateway drains, has its limit of them, or has too
 * much to do, nor for a tenant that has all it may have, or has spent what it may.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  #isDraining = false;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** From here on no call is taken. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Why a tenant may not start a call at the moment; without one, why nobody may. */
  refusal(tenantId?: string): CallError | undefined {
    const { sessions, maxSessions, maxSessionsPerTenant, costs, overload } = this.#options;
    if (this.#isDraining) return new CallError('draining', {});
    if (sessions.openCount >= maxSessions) return new CallError('gateway_full', { maxSessions });
    const overloaded = overload?.();
    if (overloaded !== undefined) return new CallError('overloaded', { why: overloaded });
    if (tenantId === undefined) return undefined;
    if (maxSessionsPerTenant !== undefined && sessions.openCountOf(tenantId) >= maxSessionsPerTenant) {
      return new CallError('tenant_full', { maxSessions: maxSessionsPerTenant });
    }
    const { budgets, prices } = costs;
    const overdrawn = budgets.overdrawn(tenantId);
    return overdrawn && new CallError('budget_exhausted', { ...overdrawn, currency: prices.currency });
  }

  /** @throws {CallError} when this call is not taken, which is noted */
  check(call: CallName): void {
    const refusal = this.refusal(call.tenantId);
    if (refusal) throw this.turnedAway(refusal, call);
  }

  /** Takes note of a call that does not even begin. */
  turnedAway(error: CallError, call: CallName): CallError {
    this.#options.metrics.sessions.inc({ outcome: error.code });
    this.#options.log.warn({ ...call, code: error.code, reason: sentenceOf(error) }, 'call refused');
    return error;
  }
}
