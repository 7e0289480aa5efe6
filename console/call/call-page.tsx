import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { ask } from '../api/client.ts';
import { ApiFailure } from '../api/failure.ts';
import type { CallTurn, KeptCall, Timeline, TimelineEntry } from '../api/types.ts';
import { askToEnd } from '../calls/calls-table.tsx';
import { Failure } from '../parts/failure.tsx';
import { PageTitle } from '../parts/page-title.tsx';
import { nowMs } from '../parts/ticker.ts';
import { clock, duration, moment, OUTCOMES, plural } from '../parts/words.ts';
import { place } from '../place.ts';
import { numbersQuery } from '../sign-in/numbers.ts';
import { who } from '../sign-in/who.ts';
import { Conversation } from './conversation.tsx';
import { Entries } from './entries.tsx';
import { FollowedCall } from './followed-call.ts';
import { type Line, linesOf } from './lines.ts';
import { Waterfall } from './waterfall.tsx';

/** Where a call is found: among those that go on, or in the history. */
type Found =
  | { readonly kind: 'asking' }
  | { readonly kind: 'live'; readonly followed: FollowedCall }
  | { readonly kind: 'over'; readonly kept: KeptCall; readonly timeline: Timeline | undefined }
  | { readonly kind: 'failed'; readonly error: unknown };

/** One call, while it goes on and afterwards: the same link shows both. */
export function CallPage({ name }: { name: string }) {
  const { session: sessionId, tenant: tenantId } = place.value.query;
  const numbers = numbersQuery();
  const found = useSignal<Found>({ kind: 'asking' });
  useEffect(() => {
    let isGone = false;
    let followed: FollowedCall | undefined;
    const look = async () => {
      const result = await find(name, sessionId, tenantId, numbers);
      if (isGone) return;
      if (result.kind === 'live') followed = result.followed;
      found.value = result;
    };
    void look();
    return () => {
      isGone = true;
      followed?.close();
    };
  }, [name, sessionId, tenantId, numbers['numbers']]);
  const { value } = found;
  if (value.kind === 'asking') return <PageTitle title={`Call ${name}`} />;
  if (value.kind === 'failed') {
    return (
      <>
        <PageTitle title={`Call ${name}`} />
        <Failure error={value.error} />
      </>
    );
  }
  if (value.kind === 'over') return <KeptCallView kept={value.kept} timeline={value.timeline} />;
  return <LiveCallView followed={value.followed} callId={name} tenantId={tenantId} />;
}

async function find(
  callId: string,
  sessionId: string | undefined,
  tenantId: string | undefined,
  numbers: Readonly<Record<string, string>>,
): Promise<Found> {
  const timeline = await timelineOf(callId, tenantId).catch(() => undefined);
  const isThisCall = timeline !== undefined && (sessionId === undefined || timeline.sessionId === sessionId);
  if (isThisCall && timeline.status !== 'ended') {
    return { kind: 'live', followed: new FollowedCall({ callId, tenantId }, numbers) };
  }
  try {
    const kept = await ask<KeptCall>(
      `/api/voice/calls/${encodeURIComponent(sessionId ?? callId)}?${new URLSearchParams(numbers)}`,
      { tenantId },
    );
    return { kind: 'over', kept, timeline: isThisCall ? timeline : undefined };
  } catch (error) {
    return { kind: 'failed', error };
  }
}

async function timelineOf(callId: string, tenantId: string | undefined): Promise<Timeline | undefined> {
  try {
    return await ask<Timeline>(`/api/voice/session/${encodeURIComponent(callId)}/events`, { tenantId });
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 404) return undefined;
    throw error;
  }
}

function LiveCallView(props: { followed: FollowedCall; callId: string; tenantId: string | undefined }) {
  const { followed, callId, tenantId } = props;
  const timeline = followed.told.value;
  const isOver = followed.isOver;
  const mayEnd = typeof who.value === 'object' && who.value.may.end;
  const { value: entries } = followed.entries;
  const endedAtMs = entries.findLast(({ type }) => type === 'ended')?.atMs;
  const lastsMs = timeline === undefined ? 0 : (endedAtMs ?? nowMs.value - Date.parse(timeline.createdAt));
  const connection = followed.connection.value;
  return (
    <>
      <PageTitle title={`Call ${callId}`}>
        <CopyLink />
        {mayEnd && !isOver && (
          <button
            type="button"
            class="danger"
            onClick={() => askToEnd(callId, timeline?.tenantId ?? tenantId ?? '', callId)}
          >
            End the call
          </button>
        )}
      </PageTitle>
      {connection !== 'open' && timeline !== undefined && !isOver && (
        <Failure error="The gateway does not tell anything at the moment: what is shown may be old. Trying again." />
      )}
      {timeline !== undefined && (
        <p class="facts">
          <span role="status">
            {isOver
              ? `Over: ${OUTCOMES[followed.end.value?.endReason ?? ''] ?? followed.end.value?.endReason ?? ''}`
              : 'Goes on'}
          </span>
          <span>{clock(lastsMs)}</span>
          <span>agent {timeline.aiAgentRef}</span>
          <span>began {moment(timeline.createdAt)}</span>
          <span>
            {timeline.encoding} {timeline.sampleRate} Hz
          </span>
        </p>
      )}
      <Parts
        lines={followed.lines.value}
        withheld={timeline?.withheld}
        turns={followed.turns.value}
        entries={entries}
        omitted={timeline?.omittedEvents ?? 0}
        isLive={!isOver}
      />
    </>
  );
}

function KeptCallView({ kept, timeline }: { kept: KeptCall; timeline: Timeline | undefined }) {
  const { figures } = kept;
  const lines = useMemo(() => linesOf(kept.transcript ?? []), [kept]);
  const mayHear = typeof who.value === 'object' && who.value.may.transcripts;
  return (
    <>
      <PageTitle title={`Call ${kept.callId}`}>
        <CopyLink />
      </PageTitle>
      {kept.error !== undefined && <Failure error={kept.error} />}
      <p class="facts">
        <span>{OUTCOMES[kept.outcome] ?? kept.outcome}</span>
        {kept.transferredTo !== undefined && (
          <span>
            transferred to {kept.transferredTo}
            {kept.transferReason === undefined ? '' : ` (${kept.transferReason})`}
          </span>
        )}
        <span>{clock(kept.durationMs)}</span>
        <span>caller {kept.callerNumber ?? 'not known'}</span>
        {kept.did !== undefined && <span>to {kept.did}</span>}
        <span>agent {kept.aiAgentRef}</span>
        <span>began {moment(kept.startedAt)}</span>
        {kept.medianTurnMs !== undefined && <span>answered in {duration(kept.medianTurnMs)} (median)</span>}
        <span>{plural(kept.interruptions, 'interruption')}</span>
        {kept.reconnects > 0 && <span>{plural(kept.reconnects, 'reconnect')}</span>}
        {figures && (
          <span>
            audio {figures.audioSeconds.up} s up, {figures.audioSeconds.down} s down
          </span>
        )}
        {kept.cost !== undefined && <span>cost {kept.cost.toFixed(4)}</span>}
        {kept.summary !== 'none' && <span>summary {kept.summary}</span>}
      </p>
      {mayHear && kept.recording !== undefined && (
        // biome-ignore lint/a11y/useMediaCaption: the words of the call stand below
        <audio
          controls
          preload="none"
          aria-label="What was said on the call"
          src={`/api/voice/calls/${encodeURIComponent(kept.sessionId)}/recording`}
        />
      )}
      {kept.recording?.isWhole === false && <p class="quiet">The recording is not whole.</p>}
      <Actions actions={kept.actions} />
      <Parts
        lines={lines}
        turns={kept.turns}
        entries={timeline?.events ?? kept.faults}
        omitted={timeline?.omittedEvents ?? 0}
        isLive={false}
      />
    </>
  );
}

function Actions({ actions }: { actions: KeptCall['actions'] }) {
  if (actions.length === 0) return null;
  return (
    <section aria-labelledby="actions">
      <h2 id="actions">What the agent did</h2>
      <ul class="plain">
        {actions.map(({ name, outcome, durationMs, by }, index) => (
          <li key={index}>
            {name}: {outcome}, {duration(durationMs)}
            {by === 'gateway' ? ', by the gateway itself' : ''}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Parts(props: {
  readonly lines: readonly Line[];
  /** Why there are none, where that is not the key. */
  readonly withheld?: string | undefined;
  readonly turns: readonly CallTurn[];
  readonly entries: readonly TimelineEntry[];
  readonly omitted: number;
  readonly isLive: boolean;
}) {
  const mayRead = typeof who.value === 'object' && who.value.may.transcripts;
  return (
    <div class="columns">
      <section aria-labelledby="words">
        <h2 id="words">Conversation</h2>
        {!mayRead ? (
          <p class="quiet">Your key may not read what was said.</p>
        ) : props.withheld !== undefined ? (
          <p class="quiet">What is said is not shown: {props.withheld}.</p>
        ) : (
          <Conversation lines={props.lines} isLive={props.isLive} />
        )}
      </section>
      <section aria-labelledby="turns">
        <h2 id="turns">Turns</h2>
        <Waterfall turns={props.turns} />
      </section>
      <section aria-labelledby="entries" class="all">
        <h2 id="entries">Events</h2>
        <Entries entries={props.entries} omitted={props.omitted} />
      </section>
    </div>
  );
}

/** The address has everything in it. */
function CopyLink() {
  const isCopied = useSignal(false);
  const onClick = async () => {
    await navigator.clipboard.writeText(location.href);
    isCopied.value = true;
  };
  return (
    <button type="button" onClick={() => void onClick().catch(() => {})}>
      {isCopied.value ? 'Link copied' : 'Copy link'}
    </button>
  );
}
