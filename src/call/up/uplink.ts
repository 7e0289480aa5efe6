import type { AudioFormat, DeclaredAudio } from '../../audio/codec.ts';
import { monotonicNowMs } from '../../clock.ts';
import { INTERNAL_FAILURE } from '../../workers/audio/failure.ts';
import type { UplinkInput, UplinkOutput } from '../../workers/audio/jobs.ts';
import type { AudioLane } from '../../workers/audio/pool.ts';
import { CallError } from '../errors.ts';
import type { CallGuard } from '../guard.ts';
import type { CallLanes } from '../lanes.ts';
import type { CallObserver } from '../record/observer.ts';
import type { CallRecorder } from '../record/recorder.ts';
import type { SessionClock } from '../session-clock.ts';
import type { UpstreamCall } from '../upstream-call.ts';
import type { CallerAudioFeed } from './caller-audio-feed.ts';
import type { IncomingChunk } from './chunk.ts';
import { ChunkSequencer, MAX_JUMP_CHUNKS } from './chunk-sequencer.ts';

/** Chunks of one call that may wait on this side of the upstream. */
const MAX_QUEUED_CHUNKS = 100;
/** Bytes of chunks that may wait, as the client sent them. */
const MAX_QUEUED_BYTES = 20_000_000;

export interface UplinkOptions {
  readonly lanes: Pick<CallLanes, 'up'>;
  /** Takes the audio. */
  readonly feed: CallerAudioFeed;
  /** Takes the keys. */
  readonly upstream: Pick<UpstreamCall, 'command'>;
  readonly observer: Pick<CallObserver, 'dtmf' | 'callerAudio' | 'chunkRejected' | 'chunksMissing'>;
  readonly clock: Pick<SessionClock, 'onCallerActive' | 'onCallerAudio'>;
  readonly guard: CallGuard;
  /** Given each piece as it goes to the AI; absent: the call is not recorded. */
  readonly recorder?: Pick<CallRecorder, 'callerSaid'> | undefined;
  /** What those pieces are in. */
  readonly upstreamFormat: AudioFormat;
  /** How long an early chunk waits for the missing one. */
  readonly reorderWaitMs?: number | undefined;
}

/** One stream's way up. */
export interface UplinkStream {
  /** The upstream keeps up: more may come. */
  readonly hasRoom: boolean;
  /** Takes whole samples that came at `receivedAtMs`; after the end of the call they are forgotten. */
  push(bytes: Uint8Array, receivedAtMs: number): void;
}

/** A chunk in the order of the call, and whoever waits for it. */
interface Placed {
  readonly chunk: IncomingChunk;
  readonly done: (error?: Error) => void;
}

/** One call's way up: puts chunks in order, has them checked and converted, and streams them to the session worker. */
export class Uplink {
  readonly #options: UplinkOptions;
  readonly #lane: AudioLane<UplinkInput, UplinkOutput>;
  readonly #sequencer: ChunkSequencer<Placed>;
  /** Whether this call numbers its chunks; known from the first. */
  #numbered: boolean | undefined;
  #holeTimer: NodeJS.Timeout | undefined;
  #queuedBytes = 0;
  #closed = false;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#lane = options.lanes.up();
    this.#sequencer = new ChunkSequencer(
      (placed) => this.#process(placed),
      (count) => options.observer.chunksMissing(count),
      options.reorderWaitMs,
    );
  }

  get nextChunkSeq(): number {
    return this.#sequencer.next;
  }

  /** Takes up a call whose chunks up to somewhere behind `next` another process had. */
  goOnFrom(next: number): void {
    this.#sequencer.goOnFrom(next);
  }

  /**
   * Takes a chunk in; resolves when it was accepted.
   * @throws {CallError} `invalid_field`, `invalid_audio`, `upstream_busy`
   */
  accept(chunk: IncomingChunk): Promise<void> {
    const { chunkSeq } = chunk;
    // Keys alone are no audio, which has an order to keep: they need no number, and settle nothing about numbers.
    if (chunk.audio !== undefined || chunkSeq !== undefined) this.#checkNumbering(chunkSeq);
    if (chunkSeq !== undefined && this.#sequencer.isRepeat(chunkSeq)) {
      this.#options.observer.chunkRejected(this.#sequencer.isLate(chunkSeq) ? 'late' : 'repeat');
      return Promise.resolve();
    }
    this.#checkRoom();
    const bytes = chunk.audio?.data.length ?? 0;
    this.#queuedBytes += bytes;
    return new Promise((resolve, reject) => {
      const done = (error?: Error) => {
        this.#queuedBytes -= bytes;
        if (error) reject(error);
        else resolve();
      };
      if (chunkSeq === undefined) this.#process({ chunk, done });
      else this.#offer(chunkSeq, { chunk, done });
    });
  }

  /**
   * A way up for audio that is streamed, beside the chunks.
   * @param declared what its bytes are
   */
  stream(format: AudioFormat, declared: DeclaredAudio): UplinkStream {
    const lane = this.#options.lanes.up(format);
    const hasRoom = () => lane.pending + this.#options.feed.queued < MAX_QUEUED_CHUNKS;
    return {
      get hasRoom() {
        return hasRoom();
      },
      push: (data, receivedAtMs) => {
        if (this.#closed) return;
        const input = { data, declared };
        const passed = lane.passOn(input);
        if (passed) {
          try {
            this.#forward(passed, { receivedAtMs });
          } catch {
            // It is noted, and nobody waits for an answer.
          }
          return;
        }
        lane
          .push(input)
          .then(
            (output) => this.#forward(output, { receivedAtMs }),
            () => this.#options.observer.chunkRejected('internal'),
          )
          .catch(() => {});
      },
    };
  }

  /** Uses up the number of a chunk that was refused, so that none waits for it. */
  consume(chunkSeq: number): void {
    if (this.#numbered === false || this.#sequencer.isOutOfReach(chunkSeq)) return;
    this.#numbered = true;
    this.#offer(chunkSeq, { chunk: { receivedAtMs: 0 }, done() {} });
  }

  /** What still comes is taken and forgotten. Idempotent. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#holeTimer);
    this.#sequencer.flush();
    this.#options.feed.close();
  }

  #checkNumbering(chunkSeq: number | undefined): void {
    if (chunkSeq !== undefined && this.#sequencer.isOutOfReach(chunkSeq)) {
      const { next } = this.#sequencer;
      throw new CallError('invalid_field', {
        field: 'chunkSeq',
        value: chunkSeq,
        rule: `the next chunk of this call is ${next}: it may be ahead by ${MAX_JUMP_CHUNKS} at most`,
      });
    }
    const numbered = chunkSeq !== undefined;
    this.#numbered ??= numbered;
    if (this.#numbered === numbered) return;
    throw new CallError('invalid_field', {
      field: 'chunkSeq',
      value: chunkSeq,
      rule: `this call began ${numbered ? 'without' : 'with'} it: number all chunks or none`,
    });
  }

  #checkRoom(): void {
    const queued = this.#lane.pending + this.#options.feed.queued;
    if (queued < MAX_QUEUED_CHUNKS && this.#queuedBytes < MAX_QUEUED_BYTES) return;
    this.#options.observer.chunkRejected('upstream_busy');
    throw new CallError('upstream_busy', { chunkCount: queued });
  }

  #offer(chunkSeq: number, placed: Placed): void {
    if (this.#sequencer.offer(chunkSeq, placed, monotonicNowMs()) !== 'repeat') this.#watchForHole();
  }

  /** Gives up what is missing once the chunk that waits for it has waited long enough. */
  #watchForHole(): void {
    clearTimeout(this.#holeTimer);
    const { expiresAtMs } = this.#sequencer;
    if (expiresAtMs === undefined) return;
    this.#holeTimer = setTimeout(
      () =>
        this.#options.guard.run(() => {
          this.#sequencer.expire(monotonicNowMs());
          this.#watchForHole();
        }),
      Math.max(1, Math.ceil(expiresAtMs - monotonicNowMs())),
    );
  }

  #process({ chunk, done }: Placed): void {
    const { audio, dtmf } = chunk;
    if (this.#closed) {
      done();
      return;
    }
    if (audio === undefined) {
      if (dtmf !== undefined) this.#press(dtmf);
      done();
      return;
    }
    this.#lane
      .push(audio)
      .then((output) => {
        this.#forward(output, chunk);
        done();
      })
      .catch((error: Error) => done(error));
  }

  /** @throws {CallError} `invalid_audio` */
  #forward(output: UplinkOutput, { receivedAtMs, dtmf }: IncomingChunk): void {
    if (!output.ok) {
      if (output.reason === INTERNAL_FAILURE) throw new Error(output.message);
      this.#options.observer.chunkRejected(output.reason);
      throw new CallError('invalid_audio', { why: output.message });
    }
    const { clock, observer, feed, recorder, upstreamFormat } = this.#options;
    clock.onCallerAudio();
    observer.callerAudio(output.audioMs);
    if (dtmf !== undefined) this.#press(dtmf);
    for (const { base64, audioMs } of output.pieces) {
      const piece = {
        base64,
        audioMs,
        receivedAtMs,
        ...(output.voicedMs === undefined ? {} : { voicedMs: output.voicedMs / output.pieces.length }),
      };
      recorder?.callerSaid(piece, upstreamFormat);
      feed.send(piece);
    }
  }

  #press(digits: string): void {
    const { observer, clock, upstream } = this.#options;
    observer.dtmf(digits.length);
    clock.onCallerActive(monotonicNowMs());
    upstream.command({ type: 'dtmf', digits });
  }
}
