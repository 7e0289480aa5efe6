import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { BusError, BusPeer, Status, withTransfer } from '../../../src/bus/index.ts';
import { Base, Lab } from './lab.ts';

const port = (workerData as { port?: MessagePort } | null)?.port ?? parentPort;
if (port === null) throw new Error('this file runs in a worker');
const peer = new BusPeer(port);
const base = peer.client(Base);

peer.serve(Lab, {
  echo: (value) => value,
  allocate(byteLength) {
    const buffer = new ArrayBuffer(byteLength);
    return withTransfer(buffer, [buffer]);
  },
  measure: (bytes) => bytes.byteLength,
  fail(message) {
    const root = Object.assign(new RangeError('root'), { code: 'E_ROOT' });
    throw new BusError(Status.ResourceExhausted, message, {
      details: { retryAfterMs: 250 },
      cause: new TypeError('middle', { cause: root }),
    });
  },
  hang: () => new Promise<never>(() => {}),
  async deadlines({ ownTimeoutMs }, context) {
    const inner = await base.deadline(undefined, {
      parent: context,
      ...(ownTimeoutMs === undefined ? {} : { timeoutMs: ownTimeoutMs }),
    });
    return { outer: context.deadline, inner };
  },
  async count(to, sink) {
    for (let n = 0; n < to; n += 1) {
      if (!sink.write(n)) await sink.ready();
    }
    sink.end();
  },
  openEnded(_request, sink) {
    sink.write('open');
  },
  async sum(_request, source) {
    let total = 0;
    for await (const n of source) total += n;
    return total;
  },
  swallow: (_request, source) => source.onItem(() => {}).then(() => new Promise<never>(() => {})),
  async double(_request, source, sink) {
    for await (const n of source) {
      if (!sink.write(2 * n)) await sink.ready();
    }
    sink.end();
  },
  callBack: () => void base.ticks(),
  die(how) {
    if (how === 'close') peer.close('the worker closes');
    else if (how === 'exit') process.exit(3);
    else setImmediate(fallOver);
    return new Promise<never>(() => {});
  },
});

/** Outside any call, so that nobody catches it but the thread's end. */
function fallOver(): never {
  throw new Error('the worker dies');
}
