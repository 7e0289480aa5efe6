/**
 * The bus between threads: typed methods, unary and streaming, over a `MessagePort`, with deadlines, cancellation, the
 * canonical status codes and credit-based flow control. It knows nothing of what it carries,
 * and uses nothing of the gateway's but its clock.
 *
 *     // both ends
 *     export const Greeter = defineService('greeter', {
 *       hello: unary<{ name: string }, { text: string }>(),
 *       ticks: serverStream<{ everyMs: number }, number>({ window: 8 }),
 *     });
 *
 *     // one end
 *     new BusPeer(port1).serve(Greeter, {
 *       hello: ({ name }) => ({ text: `Hello ${name}` }),
 *       ticks({ everyMs }, sink, { signal }) {
 *         let n = 0;
 *         const timer = setInterval(() => sink.write(n++), everyMs);
 *         signal.addEventListener('abort', () => clearInterval(timer));
 *       },
 *     });
 *
 *     // the other
 *     const greeter = new BusPeer(port2).client(Greeter);
 *     const { text } = await greeter.hello({ name: 'Ada' }, { timeoutMs: 500 });
 *     const ticks = greeter.ticks({ everyMs: 100 });
 *     for await (const n of ticks) if (n === 9) break; // leaving the loop cancels the call
 */
export type {
  BidiCall,
  BidiCallOptions,
  CallOptions,
  Cancellable,
  Client,
  ClientMethod,
  ClientStreamCall,
  ServerStreamCall,
  StreamCallOptions,
  UnaryCall,
} from './client.ts';
export { BusError, type BusErrorOptions } from './error.ts';
export type { Answered, CallContext, Handler, Implementation } from './handler.ts';
export type { Role } from './link.ts';
export { BusPeer, type BusPeerOptions, type BusPort, type CallEnd } from './peer.ts';
export {
  bidi,
  clientStream,
  DEFAULT_WINDOW,
  defineService,
  type FlowControl,
  type Method,
  type MethodKind,
  type MethodSpec,
  type Methods,
  type Service,
  serverStream,
  unary,
} from './service.ts';
export { type ErrorCode, isErrorCode, Status, type StatusCode } from './status.ts';
export type { Sink, Source } from './stream.ts';
export { Transferred, withTransfer } from './transfer.ts';
