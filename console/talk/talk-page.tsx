import { useComputed, useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { Conversation } from '../call/conversation.tsx';
import { FollowedCall } from '../call/followed-call.ts';
import { Waterfall } from '../call/waterfall.tsx';
import { Failure } from '../parts/failure.tsx';
import { PageTitle } from '../parts/page-title.tsx';
import { clock, duration, OUTCOMES } from '../parts/words.ts';
import { linkTo } from '../place.ts';
import { who } from '../sign-in/who.ts';
import { Phone } from './phone.ts';
import type { Recording } from './recording.ts';
import { RECORDINGS, recordingOf } from './recordings.ts';
import type { Heard } from './turn-clock.ts';

/** One telephone, which goes on while other pages are looked at. */
const phone = new Phone();

/** A call to the agent from this page, as a caller would make it. */
export function TalkPage() {
  const agent = useSignal('');
  const isOngoing = useComputed(() => phone.state.value === 'connecting' || phone.state.value === 'talking');
  const isDropping = useFileDrop((file) => callFile(file));
  const callFile = (file: File) => {
    if (!isOngoing.value) void phone.call({ kind: 'file', file }, agent.value.trim());
  };
  return (
    <>
      <PageTitle title="Talk to the agent" />
      <div class={isDropping.value ? 'phone dropping' : 'phone'}>
        <div class="row">
          <label>
            Agent
            <input
              value={agent.value}
              placeholder="the default one"
              disabled={isOngoing.value}
              onInput={(event) => {
                agent.value = event.currentTarget.value;
              }}
            />
          </label>
          {isOngoing.value ? (
            <button type="button" class="danger big" onClick={() => void phone.hangUp()}>
              Hang up
            </button>
          ) : (
            <button
              type="button"
              class="primary big"
              onClick={() => void phone.call({ kind: 'microphone' }, agent.value.trim())}
            >
              Call with the microphone
            </button>
          )}
        </div>
        {!isOngoing.value && <OtherVoices onFile={callFile} />}
        <State />
        <Failure error={phone.problem.value} />
      </div>
      {phone.callId.value !== undefined && <Talk key={phone.callId.value} callId={phone.callId.value} />}
    </>
  );
}

/** Callers without a microphone. */
function OtherVoices({ onFile }: { onFile: (file: File) => void }) {
  const error = useSignal<unknown>(undefined);
  const play = async (recording: (typeof RECORDINGS)[number]) => {
    error.value = undefined;
    try {
      onFile(await recordingOf(recording));
    } catch (failure) {
      error.value = failure;
    }
  };
  return (
    <div class="row middle voices">
      <span>or let somebody call who</span>
      {RECORDINGS.map((recording) => (
        <button key={recording.url} type="button" onClick={() => void play(recording)}>
          {recording.title}
        </button>
      ))}
      <label class="file">
        or drop a WAV file on this page, or choose one
        <input
          type="file"
          accept="audio/*"
          onChange={(event) => {
            const file = event.currentTarget.files?.[0];
            if (file) onFile(file);
            event.currentTarget.value = '';
          }}
        />
      </label>
      <Failure error={error.value} />
    </div>
  );
}

/** A file may be dropped anywhere on the page. Whether one is held over it. */
function useFileDrop(onFile: (file: File) => void) {
  const isDropping = useSignal(false);
  const handler = useRef(onFile);
  handler.current = onFile;
  useEffect(() => {
    const listening = new AbortController();
    const on = (type: 'dragover' | 'dragleave' | 'drop', isOver: boolean, handle?: (event: DragEvent) => void) =>
      addEventListener(
        type,
        (event) => {
          event.preventDefault();
          isDropping.value = isOver;
          handle?.(event);
        },
        { signal: listening.signal },
      );
    on('dragover', true);
    on('dragleave', false);
    on('drop', false, ({ dataTransfer }) => {
      const file = dataTransfer?.files[0];
      if (file) handler.current(file);
    });
    return () => listening.abort();
  }, []);
  return isDropping;
}

const STATES = { idle: '', connecting: 'Connecting…', talking: 'Connected: speak.', over: 'The call is over' } as const;

function State() {
  const state = phone.state.value;
  const { endReason } = phone;
  if (state === 'idle') {
    return (
      <p class="quiet">
        Wear a headset if you can. Talk over the agent: it stops. What the page sends and plays is what a switch would.
      </p>
    );
  }
  const why = endReason.value === undefined ? '' : `: ${OUTCOMES[endReason.value] ?? endReason.value}`;
  return (
    <div class="row middle">
      <p role="status">
        {STATES[state]}
        {state === 'over' ? `${why}.` : ''}
      </p>
      <span class="number quiet" aria-hidden="true">
        {clock(phone.talkedMs.value)}
      </span>
      {state === 'talking' && <Levels />}
      {state === 'talking' && <Keys />}
      {phone.recording.value && <Download recording={phone.recording.value} />}
    </div>
  );
}

function Levels() {
  const { caller, agent } = phone.levels.value;
  const { heldMs, underruns } = phone.buffer.value;
  // A sixtieth of full scale fills a quarter: speech lies in the middle.
  const share = (rms: number) => Math.min(1, Math.sqrt(rms / 8_000));
  return (
    <span class="levels">
      <meter aria-label="You" value={share(caller)} /> you
      <meter aria-label="Agent" value={share(agent)} /> agent
      <span class="quiet">
        buffer {Math.round(heldMs)} ms{underruns > 0 ? `, ran empty ${underruns} times` : ''}
      </span>
    </span>
  );
}

function Keys() {
  return (
    <details class="keys">
      <summary>Keys</summary>
      <div>
        {[...'123456789*0#'].map((key) => (
          <button key={key} type="button" onClick={() => void phone.press(key).catch(() => {})}>
            {key}
          </button>
        ))}
      </div>
    </details>
  );
}

function Download({ recording }: { recording: Recording }) {
  const url = useMemo(() => URL.createObjectURL(recording.toBlob()), [recording]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  return (
    <span class="row">
      {/* biome-ignore lint/a11y/useMediaCaption: the words of the call stand below */}
      <audio controls src={url} />
      <a class="button" href={url} download={`${phone.callId.value ?? 'call'}.wav`}>
        Save the recording
      </a>
    </span>
  );
}

function Talk({ callId }: { callId: string }) {
  const followed = useMemo(() => new FollowedCall({ callId, tenantId: undefined }), [callId]);
  useEffect(() => () => followed.close(), [followed]);
  const mayRead = typeof who.value === 'object' && who.value.may.transcripts;
  const timeline = followed.told.value;
  return (
    <div class="columns">
      <section aria-labelledby="talk-words">
        <h2 id="talk-words">Conversation</h2>
        {mayRead ? (
          <Conversation lines={followed.lines.value} isLive={!followed.isOver} />
        ) : (
          <p class="quiet">Your key may not read what was said.</p>
        )}
        <p>
          <a href={linkTo('call', callId, { session: timeline?.sessionId, tenant: timeline?.tenantId })}>
            This call as everybody sees it
          </a>
        </p>
      </section>
      <section aria-labelledby="talk-turns">
        <h2 id="talk-turns">How fast</h2>
        <HeardFigures heard={phone.heard.value} />
        <Waterfall turns={followed.turns.value} />
      </section>
    </div>
  );
}

/** What the caller's ears say, beside what the gateway measures. */
function HeardFigures({ heard }: { heard: readonly Heard[] }) {
  if (heard.length === 0) return null;
  return (
    <>
      <p class="quiet">Measured here, from your last word to the agent's first; detection of your silence is in it.</p>
      <ol class="heard">
        {heard.map((one, index) => (
          <li key={index}>
            {one.kind === 'answered'
              ? `answered in ${duration(one.latencyMs)}`
              : `interrupted: silent after ${duration(one.reactionMs)}`}
          </li>
        ))}
      </ol>
    </>
  );
}
