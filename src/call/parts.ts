import { monotonicNowMs } from '../clock.ts';
import { type TraceContext, traceHeaders } from '../traces/context.ts';
import { CallStreams } from './duplex/streams.ts';
import { CallGuard } from './guard.ts';
import { CallLanes } from './lanes.ts';
import { recorderOf } from './record/call-recording.ts';
import type { NotesListener } from './record/notes.ts';
import { CallObserver } from './record/observer.ts';
import { CallRecord } from './record/record.ts';
import { Deliveries, type DeliveriesListener } from './reply/deliveries.ts';
import type { FillerSource } from './reply/filler.ts';
import { Interruptions } from './reply/interruptions.ts';
import { PollWait } from './reply/poll-wait.ts';
import { ReplyPath, type ReplyPathListener } from './reply/reply-path.ts';
import { SessionClock } from './session-clock.ts';
import { callCosts, callValues, type SessionDeps, type SessionSetup } from './setup.ts';
import { CallStanding } from './standing.ts';
import { CallTools } from './tools.ts';
import { CallerAudioFeed } from './up/caller-audio-feed.ts';
import { Uplink } from './up/uplink.ts';
import { UpstreamCall } from './upstream-call.ts';
import { UpstreamEvents, type UpstreamEventsListener } from './upstream-events.ts';

/** Whoever lives the call's life: what its parts tell. */
export interface CallListener extends UpstreamEventsListener, ReplyPathListener, DeliveriesListener, NotesListener {
  /** Something of this call threw where nothing may. */
  onDefect(error: Error): void;
  /** Something is about to be done that must not be done twice. @returns whether it is this process's to do */
  mayAct(): Promise<boolean>;
}

/** The parts of one call, each made of those that it calls: what is made later is known to nothing before it. */
export class CallParts {
  readonly standing = new CallStanding();
  /** Its place in a trace, for what is asked in its name; undefined: it has none. */
  readonly trace: TraceContext | undefined;
  readonly guard: CallGuard;
  readonly observer: CallObserver;
  readonly clock: SessionClock;
  readonly upstream: UpstreamCall;
  readonly uplink: Uplink;
  readonly replyPath: ReplyPath;
  readonly record: CallRecord;
  readonly tools: CallTools;
  readonly streams: CallStreams;
  readonly deliveries: Deliveries;
  readonly interruptions: Interruptions;
  readonly events: UpstreamEvents;

  /** @param created when the call began, here or in another process */
  constructor(
    id: string,
    setup: SessionSetup,
    deps: SessionDeps,
    created: { readonly at: Date; readonly atMs: number },
    listener: CallListener,
  ) {
    const { formats, log, profile } = setup;
    this.trace = deps.traces.begin(setup.request);
    const guard = new CallGuard((error) => listener.onDefect(error));
    const observer = new CallObserver(deps.metrics, log, callCosts(setup, deps, created.at), listener);
    const { writeRecording } = deps;
    const recorder =
      profile.recording && writeRecording
        ? recorderOf({ ...setup, id, createdAt: created.at }, writeRecording, observer)
        : undefined;
    const clock = new SessionClock(deps.limits, profile, monotonicNowMs(), created.atMs);
    const lanes = new CallLanes(deps.pool, formats, (profile.minInterruptionMs ?? 0) > 0);
    const feed = new CallerAudioFeed(deps.reconnect.keepAudioMs);
    const upstream = new UpstreamCall(id, deps.workers, feed);
    const { reorderWaitMs, maxOutboxMs } = deps;
    const uplink = new Uplink({
      lanes,
      feed,
      upstream,
      observer,
      clock,
      guard,
      recorder,
      upstreamFormat: formats.upstream,
      reorderWaitMs,
    });
    const polls = new PollWait();
    const replyPath = new ReplyPath({
      lanes,
      format: formats.call,
      upstream,
      observer,
      clock,
      recorder,
      guard,
      reader: polls,
      listener,
      maxOutboxMs,
      filler: fillerSource(setup, deps),
    });
    const { outbox, downlink, transcript } = replyPath;
    const record = new CallRecord(transcript);
    const tools = new CallTools({
      profile,
      values: callValues(setup),
      headers: traceHeaders(this.trace),
      record,
      log,
      downlink,
      outbox,
      observer,
      mayAct: () => listener.mayAct(),
    });
    const { standing } = this;
    const streams = new CallStreams({ uplink, replyPath, observer, metronome: deps.metronome, standing });
    const deliveries = new Deliveries({ outbox, polls, streams, standing, observer, guard, listener });
    this.guard = guard;
    this.observer = observer;
    this.clock = clock;
    this.upstream = upstream;
    this.uplink = uplink;
    this.replyPath = replyPath;
    this.record = record;
    this.tools = tools;
    this.streams = streams;
    this.deliveries = deliveries;
    this.interruptions = new Interruptions({ replyPath, tools, streams, deliveries, observer });
    this.events = new UpstreamEvents({ replyPath, observer, clock, guard, listener });
  }
}

function fillerSource({ profile, formats }: SessionSetup, deps: SessionDeps): FillerSource | undefined {
  const { fillerFile } = profile;
  if (fillerFile === undefined) return undefined;
  return { load: () => deps.fillers.load(fillerFile, formats.call), afterMs: deps.fillerAfterMs };
}
