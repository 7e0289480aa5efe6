import { clientStream, defineService, serverStream, unary } from '../../src/bus/index.ts';

/** What the bus benchmark calls. Windows are those of a call's audio streams. */
export const EchoService = defineService('echo', {
  echo: unary<string, string>(),
  up: clientStream<string, number>({ window: 50 }),
  down: serverStream<{ readonly count: number; readonly item: string }, string>({ window: 64 }),
});
