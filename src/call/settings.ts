import { createHmac } from 'node:crypto';
import { type AudioFormat, bytesPerMs, codecOf, silenceByte, upstreamFormatOf } from '../audio/codec.ts';
import type { AgentProfile, ProfileTool } from '../backend/profiles/agent-profile.ts';
import { type CallValues, fillPlaceholders } from '../backend/profiles/instructions.ts';
import { transcriptionOf } from '../backend/profiles/upstream-fields.ts';
import type { GreetingSetup } from '../upstream/ai-conversation.ts';
import type { ConversationSettings, FunctionTool, NoiseReduction, UpstreamAudioType } from '../upstream/settings.ts';
import { CallError } from './errors.ts';
import type { CallRequest } from './request.ts';

/** The audio formats of one call: the client's, and the upstream's, which is the same for G.711. */
export interface CallFormats {
  readonly call: AudioFormat;
  readonly upstream: AudioFormat;
  readonly upstreamType: UpstreamAudioType;
}

/** @throws {CallError} `invalid_field` for a rate the encoding does not have */
export function callFormats({ encoding = 'pcm16', sampleRate }: CallRequest): CallFormats {
  const { sampleRatesHz, defaultSampleRateHz, mediaType } = codecOf(encoding);
  const sampleRateHz = sampleRate ?? defaultSampleRateHz;
  if (!sampleRatesHz.includes(sampleRateHz)) {
    throw new CallError('invalid_field', {
      field: 'sampleRate',
      value: sampleRateHz,
      rule: `must be ${sampleRatesHz.join(' or ')} with encoding ${encoding}`,
    });
  }
  const call: AudioFormat = { encoding, sampleRateHz };
  return { call, upstream: upstreamFormatOf(call), upstreamType: mediaType };
}

/** Silence in the upstream's format, as base64. */
export function silenceBase64(format: AudioFormat, lengthMs: number): string {
  return Buffer.alloc(lengthMs * bytesPerMs(format), silenceByte(format.encoding)).toString('base64');
}

/** What the upstream is configured with for a call of this agent. */
export function conversationSettings(
  profile: AgentProfile,
  defaultModel: string,
  audioType: UpstreamAudioType,
  values: CallValues,
): ConversationSettings {
  const detection = profile.turnDetection ?? { type: 'server_vad' };
  return {
    model: profile.model ?? defaultModel,
    instructions: fillPlaceholders(profile.instructions, values),
    voice: profile.voice ?? 'marin',
    speed: profile.speed ?? 1,
    audioType,
    turnDetection:
      detection.type === 'semantic_vad'
        ? { type: 'semantic_vad', eagerness: detection.eagerness ?? 'auto' }
        : {
            type: 'server_vad',
            threshold: detection.threshold ?? 0.5,
            prefixPaddingMs: detection.prefixPaddingMs ?? 300,
            silenceDurationMs: detection.silenceDurationMs ?? 500,
          },
    noiseReduction: noiseReductionOf(profile),
    transcription: transcriptionOf(profile),
    maxOutputTokens: profile.maxOutputTokens ?? 4096,
    reasoningEffort: profile.reasoning?.effort,
    truncation: profile.truncation,
    toolChoice: profile.toolChoice ?? 'auto',
    parallelToolCalls: profile.parallelToolCalls,
    more: profile.session,
    tools: (profile.tools ?? []).map((tool) => functionTool(tool, profile)),
  };
}

function noiseReductionOf({ noiseReduction = 'near_field' }: AgentProfile): NoiseReduction | null {
  return typeof noiseReduction === 'string' ? { type: noiseReduction } : noiseReduction;
}

/** How the agent is asked to say something word for word. */
export function sayExactly(text: string): string {
  return `Say exactly: "${text}"`;
}

/** What the agent is asked to say first. */
export function greetingOf({ greeting, recording }: AgentProfile, values: CallValues): GreetingSetup | undefined {
  const notice = typeof recording?.notice === 'object' ? fillPlaceholders(recording.notice.say, values) : undefined;
  if (!greeting) return notice === undefined ? undefined : { instructions: sayExactly(notice), interruptible: false };
  const { say, instructions = 'Greet the caller.', interruptible = true } = greeting;
  if (say !== undefined) {
    const words = fillPlaceholders(say, values);
    const all = notice === undefined ? words : `${notice} ${words}`;
    return { instructions: sayExactly(all), interruptible: interruptible && notice === undefined };
  }
  const how = fillPlaceholders(instructions, values);
  if (notice === undefined) return { instructions: how, interruptible };
  return { instructions: `${sayExactly(notice)}. Then, without a pause: ${how}`, interruptible: false };
}

function functionTool(tool: ProfileTool, profile: AgentProfile): FunctionTool {
  switch (tool.type) {
    case 'webhook':
      return { name: tool.name, description: tool.description, parameters: tool.parameters };
    case 'transfer_to_extension':
      return {
        name: 'transfer_to_extension',
        description:
          tool.description ?? 'Put the caller through to a colleague. Tell the caller so before you call this.',
        parameters: {
          type: 'object',
          properties: {
            extension: { type: 'string', enum: profile.transferExtensions ?? [] },
            reason: { type: 'string', description: 'Why, in a few words' },
          },
          required: ['extension'],
        },
      };
    case 'end_call':
      return {
        name: 'end_call',
        description: tool.description ?? 'Hang up. Say goodbye before you call this.',
        parameters: { type: 'object', properties: { reason: { type: 'string' } } },
      };
  }
}

/**
 * A stable id of a caller that does not tell who it is: a keyed hash, so that nobody can find the number by trying
 * them all.
 */
export function callerHash(hashKey: string, tenantId: string, callerNumber: string | undefined): string | undefined {
  if (callerNumber === undefined || callerNumber === '') return undefined;
  return createHmac('sha256', hashKey).update(`${tenantId}\n${callerNumber}`).digest('hex').slice(0, 32);
}

/** A caller's number as logs show it: its last two digits. */
export function maskNumber(number: string | undefined): string | undefined {
  return number === undefined ? undefined : `…${number.slice(-2)}`;
}
