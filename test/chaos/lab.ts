import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type Faults, RealtimeSimulator } from '../../src/simulator/server.ts';
import { always, TestServer } from '../backend/support/http-server.ts';
import { http } from '../support/call.ts';
import { scriptedFixtures } from '../support/script.ts';
import { Caller, CallOver } from './caller.ts';
import { CONVERSATIONS, type Conversation, RULES } from './conversations.ts';
import { GatewayProcess } from './gateway-process.ts';
import { type Harm, Innocents } from './innocents.ts';
import { modelOf, profileOf } from './lanes.ts';
import { type ChaosCase, casesOf } from './matrix.ts';
import { StreamedCaller } from './streamed-caller.ts';
import { changesWords, Witness } from './witness.ts';

/** Within this the caller's next turn is answered, or the call has ended. */
const NEXT_TURN_MS = 10_000;
/** No call takes so long, whatever happens to it. */
const CALL_MS = 120_000;
/** Connections that a call may open because of one mutation. */
const MAX_RECONNECTS = 2;
const MAX_LOG_LINES = 40;
/** A gateway may say no to a call whose set-up is mutated. */
const REFUSALS = [502, 504];

export interface LabOptions {
  /** Calls at once. */
  readonly calls: number;
  /** `SESSION_WORKERS` of the gateway. */
  readonly sessionWorkers: string;
  /** Calls that nothing happens to, played all the time. */
  readonly innocents: number;
  /** Calls are streamed requests, in real time; default: polls. */
  readonly isStreamed?: boolean;
}

/** What became of one call. */
export interface Verdict {
  /** What was not as it must be; empty: all is well. */
  readonly violations: readonly string[];
  /** How the call went on. */
  readonly outcome: 'answered' | 'ended' | 'refused' | 'lost';
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** When the mutation found its event; undefined when the conversation took another way. */
  readonly struckAtMs: number | undefined;
}

type Outcome = Pick<Verdict, 'outcome' | 'violations'>;

/** A gateway, its upstream, and callers who play conversations of which one event is changed. */
export class ChaosLab {
  readonly #gateway: GatewayProcess;
  readonly #simulator: RealtimeSimulator;
  readonly #cleanUp: () => Promise<void>;
  readonly #witnesses = new Map<string, Witness>();
  readonly #freeLanes: string[];
  readonly #innocents: Innocents;
  readonly #Caller: typeof Caller;
  #calls = 0;

  private constructor(
    CallerClass: typeof Caller,
    gateway: GatewayProcess,
    simulator: RealtimeSimulator,
    lanes: string[],
    innocentLanes: readonly string[],
    cleanUp: () => Promise<void>,
  ) {
    this.#Caller = CallerClass;
    this.#gateway = gateway;
    this.#simulator = simulator;
    this.#freeLanes = lanes;
    this.#cleanUp = cleanUp;
    this.#innocents = new Innocents(gateway, this.#witnesses, innocentLanes);
    simulator.on('connection', (connection) => this.#witnesses.get(connection.request.model)?.attend(connection));
  }

  static async open({ calls, sessionWorkers, innocents, isStreamed = false }: LabOptions): Promise<ChaosLab> {
    const folder = mkdtempSync(join(tmpdir(), 'voice-chaos-'));
    const fixtures = scriptedFixtures(RULES);
    const service = await TestServer.start((received, response) => {
      service.received.length = 0;
      always(200, { status: 'shipped' })(received, response);
    });
    const simulator = await RealtimeSimulator.listen({
      fixturesDir: fixtures.folder,
      responseDelayMs: 30,
      transcriptionDelayMs: 20,
      speedup: 12,
    });
    // The model's name is the one thing of a call that its upstream connections tell.
    const lanes = Array.from({ length: calls }, (_, lane) => `lane-${lane}`);
    const innocentLanes = Array.from({ length: innocents }, (_, lane) => `innocent-${lane}`);
    const agents = join(folder, 'agents');
    mkdirSync(agents);
    for (const lane of [...lanes, ...innocentLanes]) {
      for (const { name, profile } of CONVERSATIONS) {
        const content = { ...profile(service.url), model: modelOf(lane) };
        writeFileSync(join(agents, `${profileOf(name, lane)}.json`), JSON.stringify(content));
      }
    }
    const gateway = new GatewayProcess({
      OPENAI_REALTIME_URL: simulator.url,
      OPENAI_API_KEY: 'test-key-of-the-simulator',
      AGENTS_DIR: agents,
      DEFAULT_AGENT_REF: profileOf('turns', lanes[0]!),
      DATA_DIR: join(folder, 'data'),
      SESSION_WORKERS: sessionWorkers,
      SPARE_SESSION_WORKERS: '2',
      // The machine is busy with tormenting: being late is no overload here.
      OVERLOAD_EVENT_LOOP_MS: '60000',
    });
    const lab = new ChaosLab(
      isStreamed ? StreamedCaller : Caller,
      gateway,
      simulator,
      lanes,
      innocentLanes,
      async () => {
        await gateway.close();
        await simulator.close();
        await service.close();
        fixtures.remove();
        rmSync(folder, { recursive: true, force: true });
      },
    );
    await gateway.url();
    lab.#innocents.start();
    return lab;
  }

  /** Innocent calls that were not as they must be. */
  get harms(): readonly Harm[] {
    return this.#innocents.harms;
  }

  /** How many innocent calls were played. */
  get innocentCalls(): number {
    return this.#innocents.count;
  }

  get deaths(): GatewayProcess['deaths'] {
    return this.#gateway.deaths;
  }

  /** What the daemon complained of that belongs to no call. */
  get complaints(): readonly string[] {
    return this.#gateway.complaints;
  }

  /** All that can happen to the events of these conversations. @throws Error when one goes wrong without a mutation */
  async matrix(isWhole = false): Promise<ChaosCase[]> {
    const ofEach = CONVERSATIONS.map(async (conversation) => {
      const { verdict, witness } = await this.#play(conversation);
      if (verdict.violations.length > 0) {
        throw new Error(`${conversation.name} goes wrong without a mutation: ${verdict.violations.join('; ')}`);
      }
      const cases = casesOf(conversation, witness.recording, isWhole);
      if (cases.length === 0) throw new Error(`${conversation.name} has no events on the connection that it is about`);
      return cases;
    });
    return (await Promise.all(ofEach)).flat();
  }

  /** Plays a case. As many at once as there are lanes. */
  async run(chaosCase: ChaosCase): Promise<Verdict> {
    return (await this.#play(chaosCase.conversation, chaosCase)).verdict;
  }

  async #play(conversation: Conversation, chaosCase?: ChaosCase): Promise<{ verdict: Verdict; witness: Witness }> {
    const lane = this.#freeLanes.pop();
    if (lane === undefined) throw new Error('more cases at once than there are lanes');
    const witness = new Witness();
    const model = modelOf(lane);
    this.#witnesses.set(model, witness);
    const takeBack = faultsOf(conversation, chaosCase).map((faults) =>
      this.#simulator.nextConnection(faults, (request) => request.model === model),
    );
    const startedAtMs = performance.now();
    try {
      const { outcome, violations } = await withinTime(this.#call(conversation, lane, witness, chaosCase));
      // The answer that is missing may be the first that anybody knows of a death.
      if (violations.length > 0) await this.#gateway.lookAfter();
      const { struckAtMs } = witness;
      return { verdict: { outcome, violations, startedAtMs, endedAtMs: performance.now(), struckAtMs }, witness };
    } finally {
      for (const undo of takeBack) undo();
      this.#witnesses.delete(model);
      this.#freeLanes.push(lane);
    }
  }

  async #call(conversation: Conversation, lane: string, witness: Witness, chaosCase?: ChaosCase): Promise<Outcome> {
    const callId = `${conversation.name}-${++this.#calls}`;
    const caller = new this.#Caller(await this.#gateway.url(), callId, conversation.line, witness.connections);
    const { problems } = caller;
    const violations: string[] = [];
    let outcome: Verdict['outcome'] = 'lost';
    try {
      const created = await caller.create(profileOf(conversation.name, lane));
      if (created.status !== 200) {
        const isReason = REFUSALS.includes(created.status) && typeof created.body?.code === 'string';
        if (!isReason || !chaosCase) violations.push(`create answered ${created.status} ${created.body?.code ?? ''}`);
        outcome = 'refused';
      } else {
        outcome = await this.#goOn(conversation, caller, witness, violations);
        await this.#conclude(caller, witness, violations, chaosCase);
      }
    } catch (error) {
      problems.push(`no answer: ${(error as Error).message}`);
    } finally {
      caller.hangUp();
    }
    const reconnects = witness.connections.length - Math.max(1, conversation.faults.length + 1);
    if (reconnects > MAX_RECONNECTS) violations.push(`${reconnects} reconnects`);
    const log = this.#gateway.takeLog(callId);
    if (log.lines > MAX_LOG_LINES) violations.push(`${log.lines} lines in the log`);
    if (log.defects.length > 0) violations.push(`a defect in the log: ${log.defects[0]}`);
    return { outcome, violations: [...violations, ...problems] };
  }

  /** The conversation, and one more turn of the caller. */
  async #goOn(
    conversation: Conversation,
    caller: Caller,
    witness: Witness,
    violations: string[],
  ): Promise<Verdict['outcome']> {
    try {
      await conversation.play(caller);
      await caller.settle();
      witness.endRecording();
      if (!caller.isOver && !(await caller.ask('order', NEXT_TURN_MS))) {
        violations.push(`the next turn was not answered within ${NEXT_TURN_MS / 1000} s`);
      }
    } catch (error) {
      if (!(error instanceof CallOver)) throw error;
    }
    if (!caller.isOver) return 'answered';
    if (!caller.call.endReason) violations.push('the call ended without a reason');
    return 'ended';
  }

  /** The timeline and the summary can be had, and the summary is true. */
  async #conclude(caller: Caller, witness: Witness, violations: string[], chaosCase?: ChaosCase): Promise<void> {
    const { call } = caller;
    const events = await http('GET', `${call.base}/api/voice/session/${call.callId}/events`);
    if (events.status !== 200) violations.push(`events answered ${events.status}`);
    const ended = await call.end();
    if (ended.status !== 200) violations.push(`end answered ${ended.status}`);
    else if (!chaosCase || !changesWords(chaosCase)) {
      violations.push(...witness.untruths(ended.body.summary.transcript, caller.heardMs));
    }
  }

  /** Resolves when every innocent call that is being played has come to its end. */
  async innocentsAreThrough(): Promise<void> {
    await this.#innocents.areThrough();
  }

  async close(): Promise<void> {
    await this.#innocents.close();
    await this.#cleanUp();
  }
}

/** What `#call` came to, or that it hangs: some request has got no answer. */
async function withinTime(call: Promise<Outcome>): Promise<Outcome> {
  const stop = new AbortController();
  const violations = [`a request of the call got no answer for a long time`];
  const hung = setTimeout(CALL_MS, { outcome: 'lost' as const, violations }, { signal: stop.signal });
  hung.catch(() => {});
  try {
    return await Promise.race([call, hung]);
  } finally {
    stop.abort();
  }
}

/** What is to happen to a call's connections, oldest first. */
function faultsOf({ faults }: Conversation, chaosCase?: ChaosCase): Faults[] {
  const { connection = 0, mutation } = chaosCase ?? {};
  // A server that says something odd of a session says it of the next ones too.
  const isEverywhere = connection === 1 && mutation?.event?.startsWith('session.');
  const last = isEverywhere ? connection + 2 * MAX_RECONNECTS : connection;
  return Array.from({ length: Math.max(faults.length, last) }, (_, index) => ({
    ...faults[index],
    ...(mutation && index + 1 >= connection && index + 1 <= last && { mutations: [mutation] }),
  }));
}
