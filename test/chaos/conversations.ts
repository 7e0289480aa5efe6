import type { AgentProfile } from '../../src/backend/profiles/agent-profile.ts';
import type { Rule } from '../../src/simulator/script.ts';
import type { Faults } from '../../src/simulator/server.ts';
import { QUIET_PROFILE } from '../support/gateway.ts';
import type { Caller } from './caller.ts';
import { type Line, NARROW, WIDE } from './line.ts';

const LOOKUP = { name: 'lookup_order', arguments: { number: '4711' } };

/** The assistant looks the order up where the agent has the tool for it. */
export const RULES: Rule[] = [{ whenAny: ['arrive'], say: ['order-eta'], tool: LOOKUP, afterTool: ['order-status'] }];

/** A session that is moved to another connection soon after it began. */
const SHORT_SESSION_MS = 5_000;

/** A conversation with the simulator, of which every server event is mutated once in every way. */
export interface Conversation {
  readonly name: string;
  readonly line: Line;
  /** @param toolUrl of a webhook that answers */
  readonly profile: (toolUrl: string) => AgentProfile;
  /** What happens to its connections without any mutation. */
  readonly faults: readonly Faults[];
  /** What is mutated of its events: all, or all of its second connection. */
  readonly mutates: 'all' | 'turns' | 'second_connection';
  readonly play: (caller: Caller) => Promise<unknown>;
}

const quiet = () => QUIET_PROFILE;

export const CONVERSATIONS: readonly Conversation[] = [
  {
    name: 'greeting',
    line: WIDE,
    profile: () => ({
      ...QUIET_PROFILE,
      greeting: { say: 'Good morning, this is customer care. How can I help you?' },
    }),
    faults: [],
    mutates: 'all',
    play: (caller) => caller.listen(),
  },
  {
    name: 'turns',
    line: NARROW,
    profile: quiet,
    faults: [],
    mutates: 'turns',
    async play(caller) {
      await caller.ask('order');
      await caller.ask('arrival');
    },
  },
  {
    name: 'interruption',
    line: WIDE,
    profile: quiet,
    faults: [],
    mutates: 'turns',
    async play(caller) {
      await caller.say('returns');
      await caller.hear(1000);
      await caller.play(600);
      await caller.ask('arrival');
    },
  },
  {
    name: 'tool',
    line: NARROW,
    profile: (toolUrl) => ({
      ...QUIET_PROFILE,
      tools: [
        {
          type: 'webhook',
          name: LOOKUP.name,
          description: 'Looks an order up',
          parameters: { type: 'object', properties: { number: { type: 'string' } } },
          url: `${toolUrl}/orders`,
        },
      ],
      webhookHosts: [new URL(toolUrl).host],
    }),
    faults: [],
    mutates: 'turns',
    async play(caller) {
      await caller.ask('arrival');
      await caller.listen(1_000);
    },
  },
  {
    name: 'transfer',
    line: NARROW,
    profile: () => ({
      ...QUIET_PROFILE,
      tools: [{ type: 'transfer_to_extension' }, { type: 'end_call' }],
      transferExtensions: ['200'],
    }),
    faults: [],
    mutates: 'turns',
    play: (caller) => caller.ask('person'),
  },
  {
    name: 'reconnect',
    line: WIDE,
    profile: quiet,
    faults: [{ drop: { at: 'reply', afterMs: 1000 } }],
    mutates: 'second_connection',
    async play(caller) {
      await caller.ask('returns');
      await caller.ask('arrival');
    },
  },
  {
    name: 'rotation',
    line: NARROW,
    profile: quiet,
    faults: [{ sessionDurationMs: SHORT_SESSION_MS }],
    mutates: 'second_connection',
    async play(caller) {
      await caller.ask('order');
      await caller.connected(2);
      await caller.ask('arrival');
    },
  },
];

/** @throws Error when there is none of that name */
export function conversationNamed(name: string): Conversation {
  const found = CONVERSATIONS.find((conversation) => conversation.name === name);
  if (!found) throw new Error(`${name} is not one of ${CONVERSATIONS.map((one) => one.name).join(', ')}`);
  return found;
}
