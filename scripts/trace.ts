/** `npm run trace -- CALL_ID`: what happened on a call, as a waterfall in the terminal. */
import { Command } from 'commander';
import type { CallEvents } from '../src/call/call-info.ts';
import { waterfall } from './waterfall.ts';

interface Options {
  readonly url: string;
  readonly key?: string;
  readonly tenant?: string;
  readonly json?: boolean;
}

const { PORT, W3_VOICE_GATEWAY_API_KEY: keyFromEnvironment } = process.env;

const program = new Command('trace')
  .description(
    'Prints what happened on a call: each turn with its hops, interruptions, tools, reconnects, lost chunks.',
  )
  .argument('<callId>', 'the call; it may have ended up to 10 minutes ago')
  .option('--url <url>', 'where the gateway listens', `http://127.0.0.1:${PORT || 3105}`)
  .option('--key <key>', 'API key; default: W3_VOICE_GATEWAY_API_KEY')
  .option('--tenant <tenantId>', 'whose call, where several tenants use the callId')
  .option('--json', 'print the answer as it came, to paste into a report')
  .parse();

const [callId] = program.args as [string];
const { url, key = keyFromEnvironment, tenant, json } = program.opts<Options>();

try {
  const answer = await fetch(new URL(`/api/voice/session/${encodeURIComponent(callId)}/events`, url), {
    headers: { ...(key ? { 'x-api-key': key } : {}), ...(tenant ? { 'x-tenant-id': tenant } : {}) },
  });
  const body = (await answer.json()) as CallEvents | { error?: string };
  if (!answer.ok) throw new Error((body as { error?: string }).error ?? `HTTP ${answer.status}`);
  process.stdout.write(`${json ? JSON.stringify(body, null, 2) : waterfall(body as CallEvents)}\n`);
} catch (error) {
  const { message, cause } = error as Error;
  process.stderr.write(`${cause instanceof Error ? `${message} (${cause.message})` : message}\n`);
  process.exitCode = 1;
}
