import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { BackendLog } from '../backend/log.ts';
import type { AgentProfile } from '../backend/profiles/agent-profile.ts';
import type { CallValues } from '../backend/profiles/instructions.ts';
import { runWebhook } from '../backend/webhooks/webhook.ts';
import { monotonicNowMs } from '../clock.ts';
import type { ToolCall, ToolResult } from '../upstream/host.ts';
import type { CallRecord, RecordedAction } from './record/record.ts';
import type { CallAction } from './reply/outbox.ts';

export interface CallToolsOptions {
  readonly profile: AgentProfile;
  readonly values: CallValues;
  /** Of every webhook's request: the call's place in a trace. */
  readonly headers: Readonly<Record<string, string>>;
  readonly record: CallRecord;
  readonly log: Logger;
  /** Resolves when everything that was said before the tool was called is queued for the client. */
  readonly said: (toolCallId: string) => Promise<void>;
  /** Queues an action for the client. */
  readonly queueAction: (action: CallAction) => void;
  readonly onFinished: (name: string, outcome: RecordedAction['outcome'], durationMs: number) => void;
}

type Outcome = Pick<ToolResult, 'output' | 'respond'> & { readonly outcome: RecordedAction['outcome'] };

/** Runs the functions that the model calls on one call. */
export class CallTools {
  readonly #options: CallToolsOptions;
  readonly #ended = new AbortController();
  /** Actions on their way to the client, by id. */
  readonly #underWay = new Map<string, (delivered: boolean) => void>();
  /** Those that are not queued yet, because what was said before them is not. */
  readonly #unqueued = new Set<string>();
  /** Calls by id: a new worker asks again for what the lost one had begun. */
  readonly #calls = new Map<string, Promise<ToolResult>>();

  constructor(options: CallToolsOptions) {
    this.#options = options;
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
    this.#underWay.get(actionId)?.(delivered);
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
    const { record, onFinished } = this.#options;
    const startedAtMs = monotonicNowMs();
    const args = parseArguments(call.arguments);
    const action: RecordedAction = {
      name: call.name,
      arguments: args ?? call.arguments,
      outcome: 'running',
      durationMs: 0,
    };
    record.actions.push(action);
    const finish = (settled: RecordedAction['outcome']) => {
      action.outcome = settled;
      action.durationMs = Math.round(monotonicNowMs() - startedAtMs);
      onFinished(call.name, settled, action.durationMs);
    };
    record.conversation.setToolCall(call.itemId, call.toolCallId, call.name, call.arguments);
    const { outcome, output, respond } = await this.#outcome(call, args, (settled) => finish(settled)).catch(
      (error: Error): Outcome => ({ outcome: 'failed', output: told({ error: error.message }), respond: true }),
    );
    if (action.outcome === 'running') finish(outcome);
    record.conversation.setToolOutput(call.toolCallId, output);
    return { output, respond };
  }

  async #outcome(
    { name, toolCallId }: ToolCall,
    args: Record<string, unknown> | undefined,
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
        return this.#act({ id: randomUUID(), type: 'transfer', extension, ...reasonOf(args) }, toolCallId, onSettled);
      }
      case 'end_call':
        return this.#act({ id: randomUUID(), type: 'hangup', ...reasonOf(args) }, toolCallId, onSettled);
    }
  }

  /**
   * Queues an action and waits until the client has it, or the caller prevents it.
   * @param onSettled told at once which, because the call's summary may be made in the same turn
   */
  async #act(
    action: CallAction,
    toolCallId: string,
    onSettled: (outcome: RecordedAction['outcome']) => void,
  ): Promise<Outcome> {
    const settled = new Promise<boolean>((resolve) => {
      this.#underWay.set(action.id, (delivered) => {
        onSettled(delivered ? 'ok' : 'cancelled');
        resolve(delivered);
      });
    });
    const { said, queueAction } = this.#options;
    this.#unqueued.add(action.id);
    void said(toolCallId).then(() => {
      // It may have been cancelled before its turn came.
      if (this.#unqueued.delete(action.id)) queueAction(action);
    });
    if (await settled) return { outcome: 'ok', output: told({ ok: true }), respond: false };
    return {
      outcome: 'cancelled',
      output: told({ ok: false, error: 'the caller spoke before it was carried out, so it was cancelled' }),
      // The turn that prevented it is answered anyway.
      respond: false,
    };
  }
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
