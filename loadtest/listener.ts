import { FRAME_MS, frameBytes } from '../src/audio/frames.ts';
import { ContinuityChecker, type SearchBudget } from './continuity.ts';
import { Playout } from './playout.ts';
import type { GeneratorJob } from './protocol.ts';
import { decode, type Recording } from './recording.ts';
import type { Stats } from './stats.ts';

/** Send times that are remembered: what comes back later than this many chunks is not timed. */
const REMEMBERED_CHUNKS = 256;
/** Between two replies there is at least the time the upstream takes to notice that the caller has finished. */
const PAUSE_MS = 450;

export interface ListenerOptions {
  readonly job: GeneratorJob;
  readonly recording: Recording;
  /** The chunk of the recording that the call begins with. */
  readonly firstChunk: number;
  readonly lookAheadMs: number;
  readonly stats: Stats;
  readonly budget: SearchBudget;
}

/** One caller's ear: plays what comes, compares it with what was sent, and times it. */
export class Listener {
  readonly playout: Playout;
  readonly #job: GeneratorJob;
  readonly #recording: Recording;
  readonly #stats: Stats;
  readonly #lookAheadMs: number;
  readonly #frameSamples: number;
  readonly #frameBytes: number;
  readonly #checker: ContinuityChecker | undefined;
  readonly #sentAtMs = new Float64Array(REMEMBERED_CHUNKS);
  /** Chunks that are part of the call: sent and not refused. */
  #chunks = 0;
  /** Samples that were skipped on this side, and so will be missed by the checker through no fault of the gateway. */
  #unsentSamples = 0;
  /** How far into what was sent the caller has heard. */
  #heardSamples = 0;
  /** Samples sent in all, once that is known. */
  #lastSample = Number.POSITIVE_INFINITY;
  #reported = { exact: 0, alike: 0, repeated: 0, altered: 0, breaks: 0 };

  constructor({ job, recording, firstChunk, lookAheadMs, stats, budget }: ListenerOptions) {
    this.#job = job;
    this.#recording = recording;
    this.#stats = stats;
    this.#lookAheadMs = lookAheadMs;
    this.#frameBytes = frameBytes(job.format);
    this.#frameSamples = (job.format.sampleRateHz * FRAME_MS) / 1000;
    const { expectation } = job;
    this.playout = new Playout(job.jitterMs, expectation === 'loopback' ? Number.POSITIVE_INFINITY : PAUSE_MS);
    if (expectation === 'loopback' || expectation === 'echo') {
      this.#checker = new ContinuityChecker({
        reference: recording.reference,
        windowSamples: this.#frameSamples,
        at: expectation === 'loopback' ? firstChunk * recording.chunkSamples : undefined,
        chunkSamples: recording.chunkSamples,
        budget,
        onJump: (jump) => this.#onJump(jump),
      });
    }
  }

  /** Whether everything that was sent has been heard, but for what does not fill a frame. */
  get hasHeardAll(): boolean {
    return this.#heardSamples + this.#frameSamples > this.#lastSample;
  }

  /** Place in the recording of what is to be heard next; undefined: not known. */
  get expectedAt(): number | undefined {
    return this.#checker?.expectedAt;
  }

  /** A chunk is being sent. */
  sent(nowMs: number): void {
    this.#sentAtMs[this.#chunks % REMEMBERED_CHUNKS] = nowMs;
    this.#chunks += 1;
  }

  /** The chunk sent last was refused. */
  refused(): void {
    this.#chunks -= 1;
    this.notSent();
  }

  /** A chunk of the recording is left out. */
  notSent(): void {
    this.#unsentSamples += this.#recording.chunkSamples;
  }

  /** Nothing more is sent; the filters mix what is heard beyond it with the silence that the gateway puts there. */
  lastWasSent(): void {
    const lookAhead = Math.ceil((this.#lookAheadMs * this.#job.format.sampleRateHz) / 1000);
    this.#lastSample = this.#chunks * this.#recording.chunkSamples - lookAhead;
  }

  /** The reply was interrupted. */
  interrupted(): void {
    this.playout.flush();
    if (this.#job.expectation === 'echo') this.#checker?.restart();
  }

  /** Audio of an answer: it is played behind what came before. */
  hear(bytes: Uint8Array, nowMs: number): void {
    const audioMs = (bytes.length / this.#frameBytes) * FRAME_MS;
    if (this.#job.expectation === 'echo' && this.playout.remainingMs(nowMs) === 0) this.#checker?.restart();
    const gapMs = this.playout.arrive(audioMs, nowMs);
    if (gapMs > 0) this.gap(gapMs);
    this.follow(bytes, nowMs);
  }

  /** Nothing was heard for `gapMs` in the middle of a reply. */
  gap(gapMs: number): void {
    if (this.#heardSamples >= this.#lastSample) return;
    this.#stats.count('gaps');
    this.#stats.count('gapMs', gapMs);
  }

  /** Audio that is played when it is to be, whenever it comes: it is compared and timed, and nothing else. */
  follow(bytes: Uint8Array, nowMs: number): void {
    const { format, expectation } = this.#job;
    this.#stats.count('heardMs', (bytes.length / this.#frameBytes) * FRAME_MS);
    if (!this.#checker) return;
    if (bytes.length % this.#frameBytes !== 0) {
      this.#stats.count('alteredSamples', this.#frameSamples);
      this.#stats.note(`an answer has ${bytes.length} bytes of audio, not a whole number of frames`);
      return;
    }
    const samples = decode(bytes, format.encoding);
    if (expectation === 'loopback') this.#followLoop(samples, nowMs, this.#checker);
    else this.#checker.push(samples);
    this.#report(this.#checker);
  }

  /** The call is over. */
  finish(): void {
    if (this.#checker) {
      if (this.#job.expectation === 'echo') this.#checker.restart();
      else this.#checker.finish();
      this.#report(this.#checker);
    }
    if (this.#job.expectation !== 'loopback' || !Number.isFinite(this.#lastSample) || this.hasHeardAll) return;
    this.#stats.count('lostSamples', this.#lastSample - this.#heardSamples);
    this.#stats.note(`the last ${this.#lastSample - this.#heardSamples} samples of a call were never heard`);
  }

  #followLoop(samples: Int16Array, nowMs: number, checker: ContinuityChecker): void {
    const { sampleRateHz } = this.#job.format;
    for (let from = 0; from < samples.length; from += this.#frameSamples) {
      if (this.hasHeardAll) return;
      checker.push(samples.subarray(from, from + this.#frameSamples));
      this.#heardSamples += this.#frameSamples;
      // The filters look ahead: a frame is complete with the chunk that has what follows it.
      const neededMs = (this.#heardSamples * 1000) / sampleRateHz + this.#lookAheadMs;
      const chunk = Math.ceil(neededMs / this.#job.chunkMs - 1e-9) - 1;
      if (chunk >= 0 && chunk < this.#chunks && chunk >= this.#chunks - REMEMBERED_CHUNKS) {
        this.#stats.time('e2e', nowMs - this.#sentAtMs[chunk % REMEMBERED_CHUNKS]!);
      }
    }
  }

  #onJump(samples: number): void {
    if (this.#job.expectation !== 'loopback') {
      if (samples > 0) this.#stats.count('lostSamples', samples);
      return;
    }
    const unsent = Math.min(Math.max(0, samples), this.#unsentSamples);
    this.#unsentSamples -= unsent;
    this.#heardSamples += samples - unsent;
    if (samples > unsent) {
      this.#stats.count('lostSamples', samples - unsent);
      this.#stats.note(`${samples - unsent} samples were lost`);
    } else if (samples < 0) this.#stats.note(`${-samples} samples were heard that were not sent there`);
  }

  /** Passes on what the checker has counted since the last time. */
  #report({ counts }: ContinuityChecker): void {
    const { exact, alike, repeated, altered, breaks } = counts;
    const before = this.#reported;
    this.#stats.count('exactSamples', exact - before.exact);
    this.#stats.count('alikeSamples', alike - before.alike);
    this.#stats.count('repeatedSamples', repeated - before.repeated);
    this.#stats.count('alteredSamples', altered - before.altered);
    this.#stats.count('breaks', breaks - before.breaks);
    this.#reported = { exact, alike, repeated, altered, breaks };
  }
}
