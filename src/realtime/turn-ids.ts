import { RecentIds } from './recent-ids.ts';

/** How far the server has told of a turn. */
const STAGES = ['started', 'stopped', 'committed'] as const;
export type TurnStage = (typeof STAGES)[number];

/**
 * Keeps the server's word of each turn in order: a turn that is said to be over has begun, one that is committed is over,
 * and what comes late or twice says nothing new.
 */
export class TurnIds {
  readonly #passed: Readonly<Record<TurnStage, RecentIds>> = {
    started: new RecentIds(),
    stopped: new RecentIds(),
    committed: new RecentIds(),
  };

  /** A turn has come to a stage. @returns the stages that are new, the ones that were left out before it included */
  reach(itemId: string, stage: TurnStage): TurnStage[] {
    const upTo = STAGES.slice(0, STAGES.indexOf(stage) + 1);
    return upTo.filter((passed) => this.#passed[passed].add(itemId));
  }

  /** Whether a turn has come to a stage. */
  has(itemId: string, stage: TurnStage): boolean {
    return this.#passed[stage].has(itemId);
  }
}
