import type { MessagePort } from 'node:worker_threads';
import { workerData } from 'node:worker_threads';
import { BusError, BusPeer, type Sink, Status } from '../../bus/index.ts';
import { monotonicNowMs } from '../../clock.ts';
import { LATENCY_BUCKETS_SECONDS } from '../../metrics/buckets.ts';
import { HistogramRecorder } from '../../metrics/histogram-counts.ts';
import type { CallerAudio } from '../../upstream/ai-conversation.ts';
import type { ReplyAudio } from '../../upstream/host.ts';
import { HostedSession } from './hosted-session.ts';
import { GatewayService, type ReportedEvent, SessionWorkerService } from './service.ts';
import { SilenceClock } from './silence.ts';

/** Data a session worker is started with. */
export interface SessionWorkerData {
  readonly port: MessagePort;
}

/** Shorter than Prometheus's usual 15 s: no scrape misses more than it must. */
const REPORT_INTERVAL_MS = 5_000;

/** A thread that owns the upstream sockets of the sessions it is given: one, or many. */
const { port } = workerData as SessionWorkerData;
const peer = new BusPeer(port);
const gateway = peer.client(GatewayService);
const sessions = new Map<string, HostedSession>();
const uplinkLatency = new HistogramRecorder(LATENCY_BUCKETS_SECONDS);

/** The session's record, made by whichever of its calls comes first. */
function sessionOf(sessionKey: string): HostedSession {
  let session = sessions.get(sessionKey);
  if (!session) {
    session = new HostedSession(sessionKey, gateway, (latencyMs) => uplinkLatency.observe(latencyMs / 1000));
    sessions.set(sessionKey, session);
  }
  return session;
}

function knownSession(sessionKey: string): HostedSession {
  const session = sessions.get(sessionKey);
  if (!session) throw new BusError(Status.NotFound, `no session ${sessionKey} on this worker`);
  return session;
}

peer.serve(SessionWorkerService, {
  open: (request, context) => sessionOf(request.sessionKey).open(request, context),
  async uplink({ sessionKey }, source) {
    const session = sessionOf(sessionKey);
    await source.onItem((audio: CallerAudio) => session.sendAudio(audio));
  },
  downlink({ sessionKey }, sink: Sink<ReplyAudio>) {
    sessionOf(sessionKey).attachDownlink(sink);
  },
  events({ sessionKey }, sink: Sink<ReportedEvent>) {
    sessionOf(sessionKey).attachEvents(sink);
  },
  command: ({ sessionKey, command }) => knownSession(sessionKey).command(command),
  close({ sessionKey }) {
    sessions.get(sessionKey)?.close();
    sessions.delete(sessionKey);
    // This worker may be ended next.
    report();
  },
});

let reportedMs = 0;

function report(): void {
  const { active } = performance.eventLoopUtilization();
  const busySeconds = Math.max(0, active - reportedMs) / 1000;
  reportedMs = active;
  gateway.report({ uplinkLatency: uplinkLatency.drain(), busySeconds }).catch(() => {});
}

// An idle worker has nothing to tell.
setInterval(() => {
  if (sessions.size > 0) report();
}, REPORT_INTERVAL_MS).unref();

const silence = new SilenceClock(sessions);

/** Sleeps until the next session may want silence: on a thread of its own, a session's wake-ups are most of its cost. */
function fillSilence(): void {
  setTimeout(fillSilence, Math.ceil(silence.tick(monotonicNowMs()))).unref();
}
fillSilence();

peer.closed.then(() => {
  for (const session of sessions.values()) session.close();
  sessions.clear();
});
