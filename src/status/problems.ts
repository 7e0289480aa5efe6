import type { UpstreamErrorClass } from '../upstream/host.ts';
import type { Measured, Problem, StatusFacts } from './facts.ts';

const FAILURES: Readonly<Record<UpstreamErrorClass, string>> = {
  refused: 'it refuses them: look at the key, the model and the quota',
  rate_limited: 'it says that there are too many',
  unavailable: 'it cannot be reached',
  timeout: 'it does not answer in time',
  protocol: 'what it answers is not understood',
};

/** From this part of its limit on, something is worth a word. */
const NEAR = 0.9;

/** What is wrong, in words, the worst on top. Nothing is said where nothing is. */
export function problemsOf(facts: StatusFacts): Problem[] {
  const found = [...upstream(facts), ...admission(facts), ...keeping(facts), ...load(facts), ...agents(facts)];
  const isCritical = ({ severity }: Problem) => Number(severity === 'critical');
  return found.sort((a, b) => isCritical(b) - isCritical(a));
}

function* upstream({ upstream: { connects } }: StatusFacts): Generator<Problem> {
  const { failedInARow, lastFailure, ok, failed } = connects;
  if (lastFailure === undefined) return;
  const why = FAILURES[lastFailure];
  if (failedInARow > 0) {
    const text = `${failedInARow === 1 ? 'The AI did not take the last connection' : `The AI took none of the last ${failedInARow} connections`}: ${why}.`;
    yield { severity: 'critical', code: 'upstream_failing', text };
  } else {
    const text = `${failed} of ${ok + failed} connections to the AI failed within five minutes; the last of them because ${why}.`;
    yield { severity: 'warning', code: 'upstream_unsteady', text };
  }
}

function* admission({ isDraining, refusal, load: { sessions } }: StatusFacts): Generator<Problem> {
  if (isDraining) {
    const text = `The gateway is shutting down: no new calls are taken, ${calls(sessions.now)} go on.`;
    yield { severity: 'warning', code: 'draining', text };
  } else if (refusal !== undefined) {
    yield { severity: 'critical', code: 'refusing', text: `New calls are refused: ${refusal}.` };
  }
}

function* keeping({ store, backend, cluster }: StatusFacts): Generator<Problem> {
  if (!store.isUp) {
    const text = `The disk does not take what is kept of calls: only memory has ${calls(store.unwritten)}.`;
    yield { severity: 'critical', code: 'store_failing', text };
  }
  if (backend.isFailing) {
    const { summariesPending } = backend;
    const waiting = summariesPending > 0 ? `; it is to be told of ${calls(summariesPending)} still` : '';
    const text = `The W3 backend does not answer as it should${waiting}.`;
    yield { severity: 'warning', code: 'backend_failing', text };
  }
  if (cluster.isShared && !cluster.isDirectoryUp) {
    const text = 'Redis cannot be reached: this node takes calls, but the others do not know of them.';
    yield { severity: 'critical', code: 'directory_away', text };
  }
}

function* load({
  refusal,
  load: { sessions, eventLoopMs, poolQueue, rssMb, descriptors },
}: StatusFacts): Generator<Problem> {
  // What is over its limit is why calls are refused, and that is said.
  if (refusal !== undefined) return;
  const near: [string, Measured, string][] = [
    ['sessions_near_limit', sessions, 'calls at once'],
    ['event_loop_near_limit', eventLoopMs, 'ms of lateness of the main thread'],
    ['pool_near_limit', poolQueue, 'audio jobs that wait'],
    ['memory_near_limit', rssMb, 'MB of memory'],
    ['descriptors_near_limit', descriptors, 'file descriptors'],
  ];
  for (const [code, { now, limit }, what] of near) {
    if (limit === undefined || now < limit * NEAR) continue;
    yield { severity: 'warning', code, text: `${Math.round(now)} of ${limit} ${what}: little is left.` };
  }
}

function* agents({ agents: all }: StatusFacts): Generator<Problem> {
  for (const { ref, isUsable, problem } of all) {
    if (problem === undefined) continue;
    const now = isUsable ? 'as it was before stays in use' : 'is not there, and calls for it are refused';
    yield {
      severity: isUsable ? 'warning' : 'critical',
      code: 'agent_refused',
      text: `The agent ${ref} ${now}, because its file cannot be used: ${problem}`,
    };
  }
}

function calls(count: number): string {
  return count === 1 ? '1 call' : `${count} calls`;
}
