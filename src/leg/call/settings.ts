import { LegError } from '../errors.ts';
import type { Fields } from '../event-socket/message.ts';

/** When the call is answered: at once; when its session is ready; never, what is said is early media. */
export const ANSWER_POLICIES = ['first', 'ready', 'never'] as const;
export type AnswerPolicy = (typeof ANSWER_POLICIES)[number];

/** What holds for calls whose channel says nothing else. */
export interface CallDefaults {
  /** Undefined: the prompt is played, and the call hung up. */
  readonly fallbackExtension: string | undefined;
}

/** How one call is to be treated: its channel's variables, those of the Lua script. */
export interface CallSettings {
  readonly callId: string;
  /** FreeSWITCH's name of the channel. */
  readonly uuid: string;
  readonly answer: AnswerPolicy;
  readonly gatewayUrls: readonly string[];
  readonly apiKey: string | undefined;
  readonly tenantId: string | undefined;
  readonly storeId: string | undefined;
  readonly aiAgentRef: string | undefined;
  readonly did: string | undefined;
  readonly callerNumber: string | undefined;
  readonly tickMs: number;
}

/** What the call is to become when the AI has no part in it any more. Read so that nothing here can fail. */
export interface Departure {
  readonly fallbackExtension: string | undefined;
  readonly fallbackPrompt: string;
  readonly transferAllow: string;
  readonly transferContext: string;
  /** The call's own. */
  readonly context: string;
}

const FALLBACK_PROMPT = 'ivr/ivr-call_cannot_be_completed_as_dialed.wav';
const TRANSFER_ALLOW = '^%d%d%d%d?$';
const DEFAULT_CONTEXT = 'default';
const MAX_TEXT = 64;

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const URLS = /^https?:\/\/[^\s'\\]+(\s+https?:\/\/[^\s'\\]+)*$/;
const KEY = /^[^\s'\\]{1,4096}$/;
const EXTENSION = /^[A-Za-z0-9*#+._-]{1,128}$/;
const DIGITS = /^\d{1,32}$/;

/** @throws {LegError} `bad_variable` */
export function readSettings(channel: Fields): CallSettings {
  const uuid = channel.get('unique-id') ?? '';
  const setting = (name: string, allowed: RegExp): string | undefined => {
    const value = variable(channel, name);
    if (value !== undefined && !allowed.test(value)) {
      throw new LegError('bad_variable', `${name} has a value that cannot be used`);
    }
    return value;
  };
  const answer = setting('ai_answer', new RegExp(`^(${ANSWER_POLICIES.join('|')})$`)) ?? 'first';
  const chunkMs = Number(setting('ai_chunk_ms', /^\d{1,6}$/) ?? 40);
  return {
    uuid,
    // What the gateway takes as a callId; a UUID passes as it is.
    callId: uuid
      .replace(/[^A-Za-z0-9._-]/g, '-')
      .replace(/^[^A-Za-z0-9]/, 'c')
      .slice(0, 128),
    answer: answer as AnswerPolicy,
    gatewayUrls: setting('ai_gateway_url', URLS)?.split(/\s+/) ?? [],
    apiKey: setting('ai_api_key', KEY),
    tenantId: setting('ai_tenant_id', NAME),
    storeId: setting('ai_store_id', /^.{1,256}$/),
    aiAgentRef: setting('ai_agent_ref', NAME),
    did: channel.get('caller-destination-number')?.slice(0, MAX_TEXT),
    callerNumber: channel.get('caller-caller-id-number')?.slice(0, MAX_TEXT),
    tickMs: Math.min(100, Math.max(20, chunkMs - (chunkMs % 20))),
  };
}

/** Where the call goes afterwards. What cannot be used counts as not set. */
export function readDeparture(channel: Fields, defaults: CallDefaults): Departure {
  const extension = variable(channel, 'ai_fallback_extension') ?? defaults.fallbackExtension;
  const context = channel.get('caller-context') ?? DEFAULT_CONTEXT;
  return {
    fallbackExtension: extension !== undefined && EXTENSION.test(extension) ? extension : undefined,
    fallbackPrompt: variable(channel, 'ai_fallback_prompt') ?? FALLBACK_PROMPT,
    transferAllow: variable(channel, 'ai_transfer_allow') ?? TRANSFER_ALLOW,
    transferContext: variable(channel, 'ai_transfer_context') ?? context,
    context,
  };
}

/** Whether an extension is digits and nothing else, whatever may be allowed: no dial string gets through. */
export function isExtension(text: string): boolean {
  return DIGITS.test(text);
}

/** A channel variable; one that is empty is not set. */
export function variable(channel: Fields, name: string): string | undefined {
  return channel.get(`variable_${name}`) || undefined;
}
