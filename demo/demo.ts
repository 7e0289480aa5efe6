/**
 * One phone call, from the first request to the summary: starts the gateway with its embedded simulator, plays a
 * recorded caller into it in real time, shows the conversation, and writes what both sides said to WAV files. With
 * `--stay` the gateway stays up afterwards, for whoever wants to look around in its console and to talk to the agent.
 */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SingleBar } from 'cli-progress';
import { Command } from 'commander';
import { readWav, writeWav } from '../src/audio/wav.ts';
import { startGatewayProcess } from './gateway-process.ts';
import { type DemoPhone, Phone, type Summary } from './phone.ts';
import { StreamedPhone } from './streamed-phone.ts';

const SAMPLE_RATE_HZ = 16_000;
const USUAL_PORT = 3105;
const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface Manifest {
  agentLines: Record<string, { text: string }>;
  calls: Record<string, { file: string; sampleRateHz: number; expectReplies: string[] }>;
}
const manifest = JSON.parse(readFileSync(join(ROOT, 'fixtures/manifest.json'), 'utf8')) as Manifest;
const playable = Object.keys(manifest.calls).filter((name) => manifest.calls[name]!.sampleRateHz === SAMPLE_RATE_HZ);

const options = new Command('demo')
  .description('Plays a recorded call through the gateway and its embedded simulator.')
  .option('--call <name>', `recording to play: ${playable.join(', ')}`, 'order-status-16k')
  .option('--duplex', 'call with one streamed request instead of one for each chunk', false)
  .option('--stay', 'leave the gateway up afterwards, with its console', false)
  .option('--out <folder>', 'where the WAV files go', 'demo-out')
  .parse()
  .opts<{ call: string; duplex: boolean; stay: boolean; out: string }>();

const recording = manifest.calls[options.call];
if (!recording || !playable.includes(options.call)) {
  process.stderr.write(`--call is "${options.call}", but must be one of ${playable.join(', ')}\n`);
  process.exit(2);
}

const say = (text: string) => process.stdout.write(`${text}\n`);
const seconds = (ms: number) => `${(ms / 1000).toFixed(1).padStart(5)} s`;

const dataDir = mkdtempSync(join(tmpdir(), 'voice-gateway-demo-'));
const gateway = await startGatewayProcess({
  DATA_DIR: dataDir,
  OPENAI_API_KEY: '',
  OPENAI_REALTIME_URL: '',
  W3_API_URL: '',
  // An address that can be told to others, where nobody else has it.
  ...(options.stay && (await isFree(USUAL_PORT)) ? { PORT: String(USUAL_PORT) } : {}),
});
const consoleUrl = `${gateway.url}/console/`;
let isGood = false;
try {
  isGood = await call();
  say(`\nConsole: ${consoleUrl}${options.stay ? '' : ' (gone now: --stay leaves it up)'}`);
  if (options.stay) {
    say('Open it, choose Talk, and speak to the agent: it knows orders, invoices and opening hours. Ctrl-C ends.');
    await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  }
} finally {
  await gateway.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
process.exit(isGood ? 0 : 1);

async function call(): Promise<boolean> {
  const caller = readWav(readFileSync(join(ROOT, 'fixtures', recording!.file))).samples;
  const callerMs = (caller.length / SAMPLE_RATE_HZ) * 1000;
  const agent = new Int16Array(caller.length + 20 * SAMPLE_RATE_HZ);
  let agentEnd = 0;
  const bar = new SingleBar({
    format: '  {bar} {played} of {length}',
    barsize: 30,
    clearOnComplete: true,
    noTTYOutput: false,
  });
  const show = (text: string) => {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    say(text);
  };
  const phone: DemoPhone = new (options.duplex ? StreamedPhone : Phone)(gateway.url, `demo-${process.pid}`, {
    onLine: (line, atMs) => show(`${seconds(atMs)}  ${line}`),
    onInterrupted: (atMs) => {
      show(`${seconds(atMs)}  (interrupted: what was still to be played is dropped)`);
      agentEnd = Math.min(agentEnd, Math.round((atMs / 1000) * SAMPLE_RATE_HZ));
      agent.fill(0, agentEnd);
    },
    onAudio: (samples, _generation, atMs) => {
      const start = Math.round((atMs / 1000) * SAMPLE_RATE_HZ);
      agent.set(samples.subarray(0, Math.max(0, agent.length - start)), Math.min(start, agent.length));
      agentEnd = Math.min(agent.length, start + samples.length);
    },
    onAction: (action, atMs) =>
      show(`${seconds(atMs)}  (${action.type}${action.extension ? ` to ${action.extension}` : ''})`),
  });

  say(`Gateway at ${gateway.url}, answered by the embedded simulator.`);
  if (options.stay) say(`Watch the call in the console: ${consoleUrl}`);
  say(`Playing fixtures/${recording!.file} in real time, ${seconds(callerMs).trim()}.\n`);
  const readyMs = await phone.create({ callerNumber: '393297626144', did: '5406594427' });
  bar.start(Math.round(callerMs), 0, { played: seconds(0), length: seconds(callerMs) });
  await phone.talk(caller, 6_000, (playedMs) =>
    bar.update(Math.round(playedMs), { played: seconds(playedMs), length: seconds(callerMs) }),
  );
  bar.stop();
  const summary = await phone.end();

  mkdirSync(options.out, { recursive: true });
  const files = { caller: join(options.out, 'caller.wav'), agent: join(options.out, 'agent.wav') };
  writeFileSync(files.caller, writeWav(caller, SAMPLE_RATE_HZ));
  writeFileSync(files.agent, writeWav(agent.subarray(0, agentEnd), SAMPLE_RATE_HZ));

  say('\nLatencies');
  say(`  session ready after create          ${readyMs.toFixed(0)} ms`);
  for (const line of phone.figures) say(`  ${line}`);
  for (const line of await gatewayLatencies()) say(`  ${line}`);
  say(`\nSummary\n${JSON.stringify(summary, null, 2).replace(/^/gm, '  ')}`);
  say(`\nWritten: ${files.caller}, ${files.agent}`);
  const missing = missingReplies(summary);
  for (const text of missing) process.stderr.write(`the agent never said: "${text}"\n`);
  if (agentEnd === 0) process.stderr.write('no audio of the agent was received\n');
  return missing.length === 0 && agentEnd > 0;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** What the gateway measured itself, from its metrics. */
async function gatewayLatencies(): Promise<string[]> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  const mean = (name: string): string => {
    const sum = Number(new RegExp(`^${name}_sum (\\S+)`, 'm').exec(text)?.[1]);
    const count = Number(new RegExp(`^${name}_count (\\S+)`, 'm').exec(text)?.[1]);
    return count > 0 ? `${((sum / count) * 1000).toFixed(1)} ms` : '-';
  };
  return [
    `chunk read → frame on the socket    ${mean('voice_gateway_uplink_latency_seconds')} on average`,
    `reply audio → in the outbox         ${mean('voice_gateway_downlink_latency_seconds')} on average`,
    `end of speech → reply handed over   ${mean('voice_gateway_turn_latency_seconds')} on average`,
  ];
}

function missingReplies({ transcript }: Summary): string[] {
  const said = transcript.join('\n');
  // An interrupted line is cut to what was heard: its beginning is enough.
  return recording!.expectReplies
    .map((id) => manifest.agentLines[id]!.text)
    .filter((text) => !said.includes(`[AI]: ${text.split(' ').slice(0, 2).join(' ')}`));
}
