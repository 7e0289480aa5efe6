import { frame, loud, newSession } from './realtime.ts';

/**
 * Opens a session against the server of the first argument, leaves everything under way that has a timer, closes it,
 * and ends by itself if nothing is left behind.
 */
const { session, host } = newSession(process.argv[2]!, {
  greeting: { instructions: 'Say hello.', interruptible: true },
});
await session.open(10_000);
await host.until(() => host.all('response_started').length > 0);
session.sendDtmf('1');
session.prompt('Say something.');
session.sendAudio(frame(loud(400)));
await host.until(() => host.all('speech_started').length > 0);
const events = host.events.length;
session.close();
session.close();
session.sendDtmf('2#');
session.prompt('Say something.');
session.sendAudio(frame(loud(100)));
if (host.events.length > events) throw new Error('something was reported after the end');

/** The same for one that has just lost its connection. */
const lost = newSession(process.argv[2]!);
await lost.session.open(10_000);
lost.session.prompt('DROP');
await lost.host.until(() => lost.host.all('upstream_lost').length > 0);
lost.session.close();
process.stdout.write('closed');
