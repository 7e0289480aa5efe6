import type { RealtimeFunctionTool } from 'openai/resources/realtime/realtime';
import { type Entry, textOf } from './conversation.ts';
import type { Core } from './core.ts';
import { transcodeWhole } from './format.ts';
import type { ResponseRequest } from './response-request.ts';
import { callsOf, type Rule, ruleFor } from './script.ts';
import { isSecondGeneration } from './session.ts';
import { joinSpeech, type Speech, speechOf } from './voice.ts';

/** An output item that a response is going to produce. */
export type PlannedItem =
  | { kind: 'speech'; speech: Speech; phase?: 'commentary' }
  | { kind: 'text'; text: string; phase?: 'commentary' }
  | { kind: 'function_call'; name: string; arguments: string }
  /** Audio that comes from outside, for as long as it comes. */
  | { kind: 'stream' };

/** What the assistant is going to say and do. */
export function planReply(core: Core, request: ResponseRequest): PlannedItem[] {
  if (core.options.mode === 'loopback' && request.inConversation) return [{ kind: 'stream' }];
  const planned = planFor(core, request);
  if (core.faults.overlappingItems && planned.length === 1)
    planned.push(...sayLines(core, request, someOtherLine(core, planned)));
  const first = planned[0];
  const isMessage = first?.kind === 'speech' || first?.kind === 'text';
  if (isMessage && planned.length > 1 && isSecondGeneration(core.session.wire.model)) first.phase = 'commentary';
  return planned;
}

function planFor(core: Core, request: ResponseRequest): PlannedItem[] {
  const { script, voice } = core.library;
  const { entries, note } = contextOf(core, request);
  const asked = note === undefined ? undefined : wordsToSay(note);
  const askedLine = asked === undefined ? undefined : voice.findByText(asked);
  if (askedLine !== undefined) return sayLines(core, request, [askedLine]);
  if (asked !== undefined && request.modality === 'text') return [{ kind: 'text', text: asked }];
  if (!request.inConversation) {
    return request.modality === 'text'
      ? [{ kind: 'text', text: summaryOf(entries) }]
      : sayLines(core, request, script.otherwise);
  }
  const prompt = promptOf(entries);
  if (!prompt) return sayLines(core, request, [script.greeting]);
  if (prompt.item.type === 'function_call_output') {
    return sayLines(core, request, linesAfterTool(core, entries, prompt.item.call_id));
  }
  const { utterance } = prompt;
  if (core.options.mode === 'echo' && utterance?.bytes && request.modality === 'audio') {
    const bytes = transcodeWhole(utterance.bytes, utterance.codec, request.codec);
    return [{ kind: 'speech', speech: speechOf(utterance.text, bytes, request.codec) }];
  }
  if (prompt.isSilence) return sayLines(core, request, script.noInput ?? script.otherwise);
  return followRule(core, request, ruleFor(script, textOf(prompt)));
}

/**
 * What the response is an answer to, and what it is told about that: the request's instructions, or the system message
 * that an input of its own ends with.
 */
function contextOf(core: Core, { input, instructions }: ResponseRequest): { entries: readonly Entry[]; note?: string } {
  const last = input?.at(-1);
  if (input && last?.item.type === 'message' && last.item.role === 'system') {
    return { entries: input.slice(0, -1), note: instructions ?? textOf(last) };
  }
  const entries = input ?? core.conversation.entries;
  return instructions === undefined ? { entries } : { entries, note: instructions };
}

function followRule(core: Core, request: ResponseRequest, rule: Rule | undefined): PlannedItem[] {
  const { toolChoice } = request;
  const forced = typeof toolChoice === 'object' && toolChoice.type === 'function' ? toolChoice.name : undefined;
  const offered = (name: string) => request.tools.some((tool) => (tool as RealtimeFunctionTool).name === name);
  if (forced !== undefined && offered(forced)) {
    return [callOf(forced, callsOf(rule).find(({ name }) => name === forced)?.arguments ?? {})];
  }
  const spoken = sayLines(core, request, rule?.say ?? core.library.script.otherwise);
  if (toolChoice === 'none') return spoken;
  const calls = callsOf(rule).filter(({ name }) => offered(name));
  return [...spoken, ...calls.map((call) => callOf(call.name, call.arguments))];
}

/** Arguments come with the stray whitespace that models write. */
function callOf(name: string, args: Record<string, unknown>): PlannedItem {
  return { kind: 'function_call', name, arguments: `${JSON.stringify(args, null, 2).replaceAll('\n', ' \n')} \n` };
}

/** Lines as messages: one each for models of the second generation, all in one for the others. */
function sayLines(core: Core, request: ResponseRequest, lineIds: readonly string[]): PlannedItem[] {
  const speeches = lineIds.map((id) => core.library.voice.say(id, request.codec));
  const messages = isSecondGeneration(core.session.wire.model) ? speeches : [joinSpeech(speeches)];
  return messages.map((speech) =>
    request.modality === 'text' ? { kind: 'text', text: speech.text } : { kind: 'speech', speech },
  );
}

function someOtherLine(core: Core, planned: readonly PlannedItem[]): string[] {
  const said = planned[0]?.kind === 'speech' ? planned[0].speech.text : '';
  const { voice } = core.library;
  const id = voice.lineIds.find((lineId) => voice.findByText(said) !== lineId);
  return id === undefined ? [] : [id];
}

/**
 * What the response is an answer to: the newest tool result or user turn, or the note of a system message that came
 * after it. Nothing before the first.
 */
function promptOf(entries: readonly Entry[]): Entry | undefined {
  const isUser = ({ item }: Entry) => item.type === 'message' && item.role === 'user';
  const newest = entries.findLast((entry) => isUser(entry) || entry.item.type === 'function_call_output');
  const last = entries.at(-1);
  return newest && last?.item.type === 'message' && last.item.role === 'system' ? last : newest;
}

function linesAfterTool(core: Core, entries: readonly Entry[], callId: string): string[] {
  const { script, voice } = core.library;
  const call = entries.find(({ item }) => item.type === 'function_call' && item.call_id === callId)?.item;
  const rule =
    call?.type === 'function_call'
      ? script.rules.find((one) => callsOf(one).some(({ name }) => name === call.name))
      : undefined;
  return rule?.afterTool ?? (voice.has('anything-else') ? ['anything-else'] : script.otherwise);
}

/** The words that instructions ask for: after `Say exactly:`, or in quotes. */
function wordsToSay(instructions: string): string | undefined {
  const line = /say exactly:\s*(.+)/i.exec(instructions)?.[1];
  const quoted = /["“”«]([^"“”«»]+)["“”»]/.exec(line ?? instructions)?.[1];
  return (quoted ?? line)?.trim();
}

/** The canned answer of out-of-band responses: who said what. */
function summaryOf(entries: readonly Entry[]): string {
  const turns = (role: string) =>
    entries
      .filter(({ item }) => item.type === 'message' && item.role === role)
      .map(textOf)
      .filter((text) => text !== '');
  const caller = turns('user');
  const assistant = turns('assistant');
  if (caller.length + assistant.length === 0) return 'Nothing has been said yet.';
  return `The caller said: ${caller.join(' ') || 'nothing'}. The assistant said: ${assistant.join(' ') || 'nothing'}.`;
}
