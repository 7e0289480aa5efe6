import { setTimeout } from 'node:timers/promises';
import { aiLine, userLine } from '../support/caller.ts';
import { Caller } from './caller.ts';
import { conversationNamed } from './conversations.ts';
import type { GatewayProcess } from './gateway-process.ts';
import { modelOf, profileOf } from './lanes.ts';
import { WIDE } from './line.ts';
import { Witness } from './witness.ts';

/** Nothing is done to it: if it is late, the machine is busy. */
const PATIENCE_MS = 20_000;
const PAUSE_MS = 50;
const CONVERSATION = conversationNamed('turns');
const EXPECTED = [userLine('order'), aiLine('order-status'), userLine('arrival'), aiLine('order-eta')];

/** An innocent call that was not as it must be. */
export interface Harm {
  readonly fromMs: number;
  readonly toMs: number;
  readonly problems: readonly string[];
}

/** Calls to which nothing is done, one after the other on each of their lanes. */
export class Innocents {
  readonly harms: Harm[] = [];
  count = 0;
  readonly #gateway: GatewayProcess;
  readonly #witnesses: Map<string, Witness>;
  readonly #lanes: readonly string[];
  /** The call that is being played, by lane. */
  readonly #calls = new Map<string, Promise<void>>();
  #isClosing = false;
  #all: Promise<unknown> = Promise.resolve();

  /** @param witnesses who looks at the connections of a model */
  constructor(gateway: GatewayProcess, witnesses: Map<string, Witness>, lanes: readonly string[]) {
    this.#gateway = gateway;
    this.#witnesses = witnesses;
    this.#lanes = lanes;
  }

  start(): void {
    this.#all = Promise.all(this.#lanes.map((lane) => this.#playAll(lane)));
  }

  async #playAll(lane: string): Promise<void> {
    while (!this.#isClosing) {
      const call = this.#play(lane);
      this.#calls.set(lane, call);
      await call;
      await setTimeout(PAUSE_MS);
    }
  }

  async #play(lane: string): Promise<void> {
    const fromMs = performance.now();
    const problems = await this.#problemsOf(lane);
    this.count += 1;
    if (problems.length === 0) return;
    await this.#gateway.lookAfter();
    // That a call ends with its daemon is known already.
    if (!this.#gateway.deaths.some(({ atMs }) => atMs >= fromMs)) {
      this.harms.push({ fromMs, toMs: performance.now(), problems });
    }
  }

  async #problemsOf(lane: string): Promise<string[]> {
    const witness = new Witness();
    this.#witnesses.set(modelOf(lane), witness);
    const callId = `${lane}-${this.count}`;
    try {
      const caller = new Caller(await this.#gateway.url(), callId, WIDE, witness.connections, PATIENCE_MS);
      const { status, body } = await caller.create(profileOf(CONVERSATION.name, lane));
      if (status !== 200) return [`create answered ${status} ${body?.code}`];
      await CONVERSATION.play(caller);
      const transcript = (await caller.call.end()).body?.summary?.transcript;
      const isWhole = JSON.stringify(transcript) === JSON.stringify(EXPECTED);
      return [
        ...caller.problems,
        ...(isWhole ? [] : [`the transcript is ${JSON.stringify(transcript)}`]),
        ...(witness.connections.length > 1 ? [`${witness.connections.length} connections`] : []),
      ];
    } catch (error) {
      return [String(error)];
    } finally {
      this.#gateway.takeLog(callId);
    }
  }

  /** Resolves when every call that is being played has come to its end. */
  async areThrough(): Promise<void> {
    await Promise.all(this.#calls.values());
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#all;
  }
}
