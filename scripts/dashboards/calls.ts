import type { DashboardSpec } from './dashboard.ts';
import { atLeast, HERE, heatmap, lines, perMinute, quantiles, row, stat, upTo } from './panels.ts';

const ENDED_WELL = 'completed|agent_hangup|transferred';
/** Calls that the gateway or the upstream failed; refusals because of limits have a panel of their own. */
const FAILED = 'upstream_failed|upstream_refused|upstream_timeout|internal';

function p95(metric: string): string {
  return quantiles(metric, [0.95])[0]!.expr;
}

/** What callers experience. */
export const calls: DashboardSpec = {
  uid: 'voice-gateway-calls',
  title: 'Voice gateway: Calls',
  description: 'How the calls go: how many, how they end, how fast the agent answers and falls silent.',
  panels: [
    stat(
      'Calls now',
      'short',
      `sum(voice_gateway_sessions_active{${HERE}})`,
      'Sessions going on. Compare with the limit on the Capacity dashboard.',
    ),
    stat(
      'Calls that ended well',
      'percentunit',
      `sum(rate(voice_gateway_sessions_total{${HERE}, outcome=~"${ENDED_WELL}"}[$__rate_interval])) / sum(rate(voice_gateway_sessions_total{${HERE}}[$__rate_interval]))`,
      'Ended by the caller, the agent or a transfer, as a share of all that ended or were refused. Below 95 %: look at the outcomes below.',
      { thresholds: atLeast(0.95, 0.99), max: 1, decimals: 1 },
    ),
    stat(
      'Setup, p95',
      's',
      p95('voice_gateway_session_setup_seconds'),
      'From create to ready. FreeSWITCH plays silence or ringing meanwhile. Above 1 s: see “Upstream connect” on the Pipeline dashboard.',
      { thresholds: upTo(1, 3) },
    ),
    stat(
      'Turn latency, p95',
      's',
      p95('voice_gateway_turn_latency_seconds'),
      'From the end of speech, as the upstream found it, to the first reply audio handed to the client. Above 1.5 s callers start to ask whether anybody is there.',
      { thresholds: upTo(1.5, 3) },
    ),
    stat(
      'Barge-in reaction, p95',
      's',
      p95('voice_gateway_barge_in_reaction_seconds'),
      'From the upstream reporting speech to playback being stopped. With `minInterruptionMs` in a profile its milliseconds are part of it.',
      { thresholds: upTo(0.2, 0.5) },
    ),
    stat(
      'Interruptions a minute',
      'short',
      perMinute('voice_gateway_interruptions_total').expr,
      'Replies that callers talked over. Many more than usual: replies too long, or noise taken for speech (raise the VAD threshold or `minInterruptionMs`).',
      { decimals: 1 },
    ),

    row('How many, and how they end'),
    lines(
      'Calls',
      'short',
      [{ expr: `sum by (instance) (voice_gateway_sessions_active{${HERE}})`, legend: '{{instance}}' }],
      'Sessions going on. How many more there is room for: Capacity.',
    ),
    lines(
      'Calls ended or refused, a minute',
      'short',
      [perMinute('voice_gateway_sessions_total', 'outcome')],
      'By outcome. `upstream_…`: the AI side; `gateway_full`, `tenant_full`, `overloaded`, `draining`: refused by this gateway; `idle`: the client went away without ending the call.',
      { isStacked: true },
    ),
    lines(
      'Calls that failed',
      'percentunit',
      [
        {
          expr: `sum(rate(voice_gateway_sessions_total{${HERE}, outcome=~"${FAILED}"}[$__rate_interval])) / sum(rate(voice_gateway_sessions_total{${HERE}}[$__rate_interval]))`,
          legend: 'failed',
        },
        {
          expr: `sum(rate(voice_gateway_sessions_total{${HERE}, outcome=~"gateway_full|tenant_full|overloaded|draining"}[$__rate_interval])) / sum(rate(voice_gateway_sessions_total{${HERE}}[$__rate_interval]))`,
          legend: 'refused',
        },
      ],
      'As shares of all that ended or were refused. Failed: search the log for `upstream failed` and `call could not be started`. Refused: more gateways or higher limits.',
      { thresholds: upTo(0.01, 0.05) },
    ),
    heatmap(
      'Length of calls',
      'voice_gateway_session_duration_seconds',
      'A band at a few seconds: callers hang up at once.',
    ),

    row('How fast'),
    lines(
      'Setup time',
      's',
      quantiles('voice_gateway_session_setup_seconds', [0.5, 0.95, 0.99]),
      'From create to ready: agent profile, worker, upstream.',
      { thresholds: upTo(1, 3) },
    ),
    lines(
      'Turn latency',
      's',
      quantiles('voice_gateway_turn_latency_seconds', [0.5, 0.95, 0.99]),
      "The upstream's own silence detection (`silenceDurationMs` of the profile) comes before it. `npm run trace -- CALL_ID` shows where a call's turns spent their time.",
      { thresholds: upTo(1.5, 3) },
    ),
    heatmap(
      'Turn latency, spread',
      'voice_gateway_turn_latency_seconds',
      'Two bands: turns with and without tools, or two models.',
    ),
    lines(
      'Barge-in reaction',
      's',
      quantiles('voice_gateway_barge_in_reaction_seconds', [0.5, 0.95, 0.99]),
      'Playback stops at the switch one poll or chunk later. High with a busy main thread: see Capacity.',
      { thresholds: upTo(0.2, 0.5) },
    ),
    lines(
      'Interruptions a minute',
      'short',
      [perMinute('voice_gateway_interruptions_total')],
      'Replies that callers talked over.',
      { width: 8 },
    ),
    lines(
      'Tools a minute',
      'short',
      [perMinute('voice_gateway_tool_calls_total', 'outcome')],
      '`failed`: the webhook did not answer well; `refused`: the model asked for what the profile does not allow; `cancelled`: the caller spoke before the action was carried out.',
      { width: 8, isStacked: true },
    ),
    lines(
      'Tool time',
      's',
      quantiles('voice_gateway_tool_call_seconds', [0.5, 0.95]),
      'Part of the turn latency of turns that need a tool. Transfers and hang-ups include the wait until the client has them.',
      { width: 8, thresholds: upTo(1.5, 5) },
    ),

    row('What went wrong on the way'),
    lines(
      'Reconnects a minute',
      'short',
      [perMinute('voice_gateway_upstream_reconnects_total', 'reason')],
      '`lost`: the upstream dropped the socket; `rotated`: moved before the upstream’s own time limit, as planned; `worker_lost`: a thread died, see the log.',
      { isStacked: true },
    ),
    lines(
      'Outages of calls',
      's',
      quantiles('voice_gateway_upstream_outage_seconds', [0.5, 0.95]),
      'From losing the upstream in mid-call to going on. Above 2 s callers notice; caller audio older than a second is dropped.',
      { thresholds: upTo(2, 5) },
    ),
    lines(
      'Upstream errors a minute',
      'short',
      [perMinute('voice_gateway_upstream_errors_total', 'class')],
      '`connect_refused`, `fatal`: key, model or quota; `connect_rate_limited`: too many sessions; `response_failed`: the model gave no answer; `benign`: crossed messages, no harm.',
      { isStacked: true },
    ),
    lines(
      'Chunks refused, dropped or missing, a minute',
      'short',
      [perMinute('voice_gateway_audio_rejected_total', 'reason')],
      '`missing`, `late`: the network between switch and gateway; `repeat`: POSTs sent again, no harm; `not_base64`, `odd_length`: the client; `upstream_busy`: the upstream takes no audio.',
      { isStacked: true },
    ),
    lines(
      'Call summaries a minute',
      'short',
      [perMinute('voice_gateway_summaries_total', 'outcome')],
      'What the W3 backend said. `failed` ones are sent again.',
      { isStacked: true },
    ),
    lines(
      'Call summaries waiting',
      'short',
      [{ expr: `sum by (instance) (voice_gateway_summaries_pending{${HERE}})`, legend: '{{instance}}' }],
      'Not yet taken by the W3 backend; they are safe in the store. Growing: the backend is down or refuses the key.',
      { thresholds: upTo(10, 100) },
    ),
    lines(
      'Recordings a minute',
      'short',
      [perMinute('voice_gateway_recordings_total', 'outcome')],
      'Of agents whose profile has `recording`. `lost`: the disk did not take all of it; the call went on.',
      { isStacked: true },
    ),
    lines(
      'Ended calls that are only in memory',
      'short',
      [{ expr: `sum by (instance) (voice_gateway_store_unwritten{${HERE}})`, legend: '{{instance}}' }],
      'The disk does not take them: full, read-only or broken. A restart loses what the W3 backend does not have.',
      { thresholds: upTo(1, 100) },
    ),
  ],
};
