import type { EventChannel } from './channel.ts';
import type { Conversation } from './conversation.ts';
import type { FaultTrigger } from './fault-trigger.ts';
import type { FaultBudget, Faults } from './faults.ts';
import type { IdSource } from './ids.ts';
import type { Library } from './library.ts';
import type { ResolvedOptions } from './options.ts';
import type { Session } from './session.ts';
import type { StatsKeeper } from './stats.ts';
import type { Timers } from './timers.ts';

/** What the parts of one connection share. */
export interface Core {
  readonly options: ResolvedOptions;
  readonly library: Library;
  readonly ids: IdSource;
  readonly channel: EventChannel;
  readonly stats: StatsKeeper;
  readonly timers: Timers;
  readonly session: Session;
  readonly conversation: Conversation;
  readonly trigger: FaultTrigger;
  /** Changes when the connection is given other faults. */
  readonly faults: Faults;
  readonly budget: FaultBudget;
}
