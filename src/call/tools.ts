import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { BackendLog } from '../backend/log.ts';
import type { AgentProfile } from '../backend/profiles/agent-profile.ts';
import type { CallValues } from '../backend/profiles/instructions.ts';
import { runWebhook } from '../backend/webhooks/webhook.ts';
import { monotonicNowMs } from '../clock.ts';
import type { ToolCall, ToolResult } from '../upstream/host.ts';
import type { CallObserver } from './record/observer.ts';
import type { CallRecord, RecordedAction } from './record/record.ts';
import type { Downlink } from './reply/downlink.ts';
import type { CallAction, Outbox } from './reply/outbox.ts';
import type { PendingAction } from './snapshot.ts';

export interface CallToolsOptions {
  readonly profile: AgentProfile;
  readonly values: CallValues;
  /** Of every webhook's request: the call's place in a trace. */
  readonly headers: Readonly<Record<string, string>>;
  readonly record: CallRecord;
  readonly log: Logger;
  /** Knows what was said before a tool was called. */
  readonly downlink: Pick<Downlink, 'said'>;
  /** Takes the actions for the client. */
  readonly outbox: Pick<Outbox, 'pushAction'>;
  readonly observer: Pick<CallObserver, 'toolFinished'>;
  /** Asked before anything is done that must not be done twice; false: the call goes on elsewhere. */
  readonly mayAct: () => Promise<boolean>;
}

/** An action on its way to the client. */
interface UnderWay extends PendingAction {
  readonly onSettled: (delivered: boolean) => void;
}

type Outcome = Pick<ToolResult, 'output' | 'respond'> & { readonly outcome: RecordedAction['outcome'] };

/** Runs the functions that the model calls on one call. */
export class CallTools {
  readonly #options: CallToolsOptions;
  readonly #ended = new AbortController();
  /** Actions on their way to the client, by id. */
  readonly #underWay = new Map<string, UnderWay>();
  /** Those that are not queued yet, because what was said before them is not. */
  readonly #unqueued = new Set<string>();
  /** Calls by id: a new worker asks again for what the lost one had begun. */
  readonly #calls = new Map<string, Promise<ToolResult>>();

  constructor(options: CallToolsOptions) {
    this.#options = options;
  }

  /** Actions on their way to the client. */
  get pending(): PendingAction[] {
    return [...this.#underWay.values()].map(({ action, toolCallId }) => ({ action, toolCallId }));
  }

  /**
   * Takes up what another process had begun: actions go on their way again; what else still ran there may have been done,
   * or not, and is not done again.
   */
  restore(pending: readonly PendingAction[]): void {
    const { record, outbox } = this.#options;
    const { conversation } = record.transcript;
    for (const { action, toolCallId } of pending) {
      const recorded = record.actions.find(
        ({ outcome, by, name }) => outcome === 'running' && !by && isOf(action, name),
      );
      const startedAtMs = monotonicNowMs();
      const settled = new Promise<boolean>((resolve) => {
        this.#underWay.set(action.id, {
          action,
          toolCallId,
          onSettled: (delivered) => {
            if (recorded) this.#finish(recorded, delivered ? 'ok' : 'cancelled', startedAtMs);
            resolve(delivered);
          },
        });
      });
      if (toolCallId !== undefined) this.#calls.set(toolCallId, settled.then(toldOfAction));
      outbox.pushAction(action);
    }
    const known = new Set(pending.map(({ toolCallId }) => toolCallId));
    for (const { tool } of conversation.items()) {
      if (!tool || tool.output !== undefined || known.has(tool.toolCallId)) continue;
      conversation.setToolOutput(tool.toolCallId, UNCERTAIN);
    }
    const waiting = new Set(pending.map(({ action }) => action.type));
    for (const action of record.actions) {
      const isWaiting = [...waiting].some((type) => isOf({ type }, action.name));
      if (action.outcome === 'running' && !isWaiting) action.outcome = 'failed';
    }
  }

  /** Runs a function once; its failure is told to the model. */
  run(call: ToolCall): Promise<ToolResult> {
    let result = this.#calls.get(call.toolCallId);
    if (!result) {
      result = this.#run(call);
      this.#calls.set(call.toolCallId, result);
    }
    return result;
  }

  /** The client has an action, or it was withdrawn because the caller interrupted. */
  settleAction(actionId: string, delivered: boolean): void {
    this.#underWay.get(actionId)?.onSettled(delivered);
    this.#underWay.delete(actionId);
    this.#unqueued.delete(actionId);
  }

  /** The caller interrupted: what is not queued yet is not going to be. */
  interrupted(): void {
    for (const actionId of [...this.#unqueued]) this.settleAction(actionId, false);
  }

  /** Whether an action was asked for by a tool, and so may be withdrawn. */
  isUnderWay(actionId: string): boolean {
    return this.#underWay.has(actionId);
  }

  /** The call is over: what still runs is given up. Idempotent. */
  close(): void {
    this.#ended.abort();
    for (const actionId of [...this.#underWay.keys()]) this.settleAction(actionId, false);
  }

  async #run(call: ToolCall): Promise<ToolResult> {
    const { record, downlink, mayAct } = this.#options;
    const { conversation } = record.transcript;
    // What was said before it is waited for in any case, so that nothing waits to be asked about it.
    const said = downlink.said(call.toolCallId);
    const startedAtMs = monotonicNowMs();
    const args = parseArguments(call.arguments);
    const action: RecordedAction = {
      name: call.name,
      arguments: args ?? call.arguments,
      outcome: 'running',
      durationMs: 0,
    };
    record.actions.push(action);
    const finish = (settled: RecordedAction['outcome']) => this.#finish(action, settled, startedAtMs);
    conversation.setToolCall(call.itemId, call.toolCallId, call.name, call.arguments);
    if (!(await mayAct())) return { output: told({ error: 'the call goes on elsewhere' }), respond: false };
    const { outcome, output, respond } = await this.#outcome(call, args, said, (settled) => finish(settled)).catch(
      (error: Error): Outcome => ({ outcome: 'failed', output: told({ error: error.message }), respond: true }),
    );
    if (action.outcome === 'running') finish(outcome);
    conversation.setToolOutput(call.toolCallId, output);
    return { output, respond };
  }

  #finish(action: RecordedAction, outcome: RecordedAction['outcome'], startedAtMs: number): void {
    action.outcome = outcome;
    action.durationMs = Math.round(monotonicNowMs() - startedAtMs);
    this.#options.observer.toolFinished(action.name, outcome, action.durationMs);
  }

  async #outcome(
    { name, toolCallId }: ToolCall,
    args: Record<string, unknown> | undefined,
    said: Promise<void>,
    onSettled: (outcome: RecordedAction['outcome']) => void,
  ): Promise<Outcome> {
    const { profile, values, log } = this.#options;
    const tool = profile.tools?.find((candidate) =>
      candidate.type === 'webhook' ? candidate.name === name : candidate.type === name,
    );
    if (!tool) return refused(`there is no tool ${name}`);
    if (!args) return refused('the arguments are not a JSON object');
    switch (tool.type) {
      case 'webhook': {
        const { ok, output } = await runWebhook(tool, args, values, {
          allowedHosts: profile.webhookHosts ?? [],
          headers: this.#options.headers,
          signal: this.#ended.signal,
          log: webhookLog(log),
        });
        return { outcome: ok ? 'ok' : 'failed', output, respond: true };
      }
      case 'transfer_to_extension': {
        const { extension: wanted } = args;
        const extension = typeof wanted === 'string' || typeof wanted === 'number' ? String(wanted) : '';
        if (!profile.transferExtensions?.includes(extension)) {
          return refused(`calls cannot be transferred to extension ${JSON.stringify(wanted)}`);
        }
        return this.#act(
          { id: randomUUID(), type: 'transfer', extension, ...reasonOf(args) },
          toolCallId,
          said,
          onSettled,
        );
      }
      case 'end_call':
        return this.#act({ id: randomUUID(), type: 'hangup', ...reasonOf(args) }, toolCallId, said, onSettled);
    }
  }

  /**
   * Queues an action and waits until the client has it, or the caller prevents it.
   * @param said resolves when everything that was said before it is queued
   * @param onSettled told at once which, because the call's summary may be made in the same turn
   */
  async #act(
    action: CallAction,
    toolCallId: string,
    said: Promise<void>,
    onSettled: (outcome: RecordedAction['outcome']) => void,
  ): Promise<Outcome> {
    const settled = new Promise<boolean>((resolve) => {
      const settle = (delivered: boolean) => {
        onSettled(delivered ? 'ok' : 'cancelled');
        resolve(delivered);
      };
      this.#underWay.set(action.id, { action, toolCallId, onSettled: settle });
    });
    this.#unqueued.add(action.id);
    void said.then(() => {
      // It may have been cancelled before its turn came.
      if (this.#unqueued.delete(action.id)) this.#options.outbox.pushAction(action);
    });
    const delivered = await settled;
    return { outcome: delivered ? 'ok' : 'cancelled', ...toldOfAction(delivered) };
  }
}

/** What the model is told of what another process began, and did not see the end of. */
const UNCERTAIN = told({ error: 'the connection was lost while this ran: it is not known whether it was carried out' });

function isOf({ type }: Pick<CallAction, 'type'>, toolName: string): boolean {
  return toolName === (type === 'transfer' ? 'transfer_to_extension' : 'end_call');
}

/** What the model is told of an action. It need not go on: the call is over, or the turn that prevented it is answered. */
function toldOfAction(delivered: boolean): ToolResult {
  const output = delivered
    ? told({ ok: true })
    : told({ ok: false, error: 'the caller spoke before it was carried out, so it was cancelled' });
  return { output, respond: false };
}

/** A call's log as webhooks use it: the call is on every line already, and that one answered is told by its tool's. */
function webhookLog(log: Logger): BackendLog {
  const lines =
    (level: 'debug' | 'warn' | 'error') =>
    ({ callId: _callId, tenantId: _tenantId, ...fields }: Record<string, unknown>, message: string) =>
      log[level](fields, message);
  return { info: lines('debug'), warn: lines('warn'), error: lines('error') } as BackendLog;
}

function refused(error: string): Outcome {
  return { outcome: 'refused', output: told({ error }), respond: true };
}

function told(value: object): string {
  return JSON.stringify(value);
}

function reasonOf(args: Record<string, unknown>): { reason?: string } {
  return typeof args['reason'] === 'string' ? { reason: args['reason'].slice(0, 200) } : {};
}

function parseArguments(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text.trim() || '{}');
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
