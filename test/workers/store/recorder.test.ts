import { existsSync, mkdtempSync, readdirSync, rmSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RecordingBatch } from '../../../src/recordings/batch.ts';
import { Store } from '../../../src/store/store.ts';
import { Recorder } from '../../../src/workers/store/recorder.ts';

const DAY_MS = 86_400_000;

let folder: string;
let store: Store;
let nowMs: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'recorder-'));
  nowMs = Date.now();
  store = open();
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true, force: true });
});

function open(): Store {
  return Store.open({ directory: folder, retentionDays: 30, recordingRetentionDays: 7, note() {}, now: () => nowMs });
}

function newRecorder(minFreeBytes = 0): Recorder {
  return new Recorder(
    () => store,
    minFreeBytes,
    () => nowMs,
  );
}

function batch(id: string, fields: Partial<RecordingBatch> = {}): RecordingBatch {
  const head = {
    id,
    tenantId: 'acme',
    callId: 'call-1',
    callerNumber: '+39 02 1234',
    startedAtMs: nowMs,
    sampleRateHz: 8_000,
  } as const;
  return { head, isFirst: true, pieces: [], untilMs: 1_000, isLast: false, ...fields };
}

const files = () => (existsSync(join(folder, 'recordings')) ? readdirSync(join(folder, 'recordings')) : []);

describe('recordings on the disk', () => {
  it('are found when they are over, the newest of a name, by their own tenant only', () => {
    const recorder = newRecorder();
    recorder.write(batch('one', { isLast: true }));
    recorder.write(batch('two'));
    expect(store.recordings.find('acme', 'call-1')).toMatchObject([{ id: 'one', byteCount: 44 + 8_000 * 4 }]);
    recorder.write(batch('two', { isFirst: false, isLast: true, untilMs: 1_500 }));
    expect(store.recordings.find(undefined, 'call-1')).toMatchObject([{ id: 'two' }]);
    expect(store.recordings.find('acme', 'one')).toHaveLength(1);
    expect(store.recordings.find('beta', 'one')).toEqual([]);
  });

  it('leave the rest of the disk to calls', () => {
    expect(() => newRecorder(Number.MAX_SAFE_INTEGER).write(batch('one'))).toThrow('no room for recordings');
    expect(files()).toEqual([]);
    expect(store.recordings.find('acme', 'one')).toEqual([]);
  });

  it('end where the disk does not take more, as far as they came', () => {
    const recorder = newRecorder();
    recorder.write(batch('one'));
    unlinkSync(store.recordings.pathOf('one'));
    const next = batch('one', { isFirst: false, untilMs: 2_000 });
    expect(() => recorder.write(next)).toThrow('ENOENT');
    expect(() => recorder.write(next)).toThrow('the recording is over');
    expect(files()).toEqual([]);
  });

  it('are told of once the database has room for it', () => {
    const recorder = newRecorder();
    recorder.write(batch('one'));
    const { transaction } = store;
    store.transaction = () => {
      throw new Error('full');
    };
    recorder.write(batch('one', { isFirst: false, isLast: true }));
    expect(store.recordings.find('acme', 'one')).toEqual([]);
    store.transaction = transaction;
    recorder.settle();
    expect(store.recordings.find('acme', 'one')).toMatchObject([{ byteCount: 44 + 8_000 * 4 }]);
  });

  it('can be played as far as they came when the daemon dies', () => {
    newRecorder().write(batch('one'));
    store.close();
    store = open();
    // The last few milliseconds were held for what the filter may still give.
    expect(store.recordings.find('acme', 'one')).toMatchObject([{ byteCount: 44 + 7_840 * 4 }]);
  });

  it('go when their time is up, and when nobody can find them any more', () => {
    newRecorder().write(batch('one', { isLast: true }));
    const orphan = join(folder, 'recordings', 'orphan.wav');
    writeFileSync(orphan, 'RIFF');
    store.sweep();
    expect(files()).toHaveLength(2);
    nowMs += 7 * DAY_MS - 1_000;
    utimesSync(orphan, new Date(nowMs - 2 * 3_600_000), new Date(nowMs - 2 * 3_600_000));
    store.sweep();
    expect(files()).toEqual(['one.wav']);
    nowMs += 2_000;
    store.sweep();
    expect(files()).toEqual([]);
    expect(store.recordings.find('acme', 'one')).toEqual([]);
  });
});
