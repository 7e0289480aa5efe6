import type { DashboardSpec } from './dashboard.ts';
import { HERE, heatmap, lines, perMinute, type Query, quantiles, row, stat, upTo } from './panels.ts';

const COST_RATE = `sum(rate(voice_gateway_cost_total{${HERE}}[$__rate_interval]))`;

function costAnHour(by: string): Query {
  return {
    expr: `3600 * sum by (${by}) (rate(voice_gateway_cost_total{${HERE}}[$__rate_interval]))`,
    legend: `{{${by}}}`,
  };
}

/** Where inside the gateway time and money go. */
export const pipeline: DashboardSpec = {
  uid: 'voice-gateway-pipeline',
  title: 'Voice gateway: Pipeline',
  description: 'Each hop of the audio with its latency, the threads between, the upstream, tokens and what they cost.',
  panels: [
    row('The caller’s way up'),
    lines(
      'Uplink latency',
      's',
      quantiles('voice_gateway_uplink_latency_seconds', [0.5, 0.99]),
      'From a chunk read off HTTP to its frame on the upstream socket. Objective: p50 3 ms, p99 20 ms. High: audio pool or main thread are behind, see Capacity.',
      { thresholds: upTo(0.003, 0.02) },
    ),
    heatmap(
      'Uplink latency, spread',
      'voice_gateway_uplink_latency_seconds',
      'Reported by the session workers every 5 s. A band at 300 ms: chunks that waited in vain for the one before them.',
    ),

    row('The reply’s way down'),
    lines(
      'Downlink latency',
      's',
      quantiles('voice_gateway_downlink_latency_seconds', [0.5, 0.99]),
      'From reply audio off the upstream socket to frames in the outbox. Objective: p50 3 ms, p99 20 ms.',
      { thresholds: upTo(0.003, 0.02) },
    ),
    heatmap(
      'Downlink latency, spread',
      'voice_gateway_downlink_latency_seconds',
      'A second band: bursts of the upstream that wait for the audio pool.',
    ),
    lines(
      'Wait in the outbox',
      's',
      quantiles('voice_gateway_outbox_wait_seconds', [0.5, 0.95]),
      'The oldest audio of each answer: how fast clients poll. Near 0 with long polls; seconds when a client asks for less than is spoken (`maxMs`) or polls rarely.',
      { thresholds: upTo(0.1, 0.5) },
    ),
    heatmap('Wait in the outbox, spread', 'voice_gateway_outbox_wait_seconds', 'A band per polling habit.'),
    lines(
      'Audio in the outboxes',
      's',
      [{ expr: `sum by (instance) (voice_gateway_outbox_audio_seconds{${HERE}})`, legend: '{{instance}}' }],
      'Reply audio waiting for clients, over all calls. It rises while replies are generated faster than they are played; growing for minutes means that clients stopped polling.',
    ),
    lines(
      'Audio carried',
      's',
      [
        {
          expr: `sum by (direction) (rate(voice_gateway_audio_seconds_total{${HERE}}[$__rate_interval]))`,
          legend: '{{direction}}',
        },
      ],
      'Seconds of audio a second: `up` is about the number of calls whose clients send, `down` the number of agents speaking.',
    ),

    row('Legs'),
    lines(
      'Calls handed over',
      'short',
      [{ expr: `sum by (instance) (voice_gateway_legs_active{${HERE}})`, legend: '{{instance}}' }],
      'Calls that FreeSWITCH has handed over by its event socket.',
    ),
    lines(
      'Packets out of order',
      'short',
      [
        {
          expr: `sum by (fate) (rate(voice_gateway_leg_packets_total{${HERE}, fate!~"received|sent"}[$__rate_interval]))`,
          legend: '{{fate}}',
        },
      ],
      'A second. `lost`, `late`: the caller’s line; `gap`: the gateway or the network was late; `stranger`, `unusable`: somebody else sends to these ports.',
    ),
    lines(
      'Lateness of packets',
      's',
      quantiles('voice_gateway_leg_late_seconds', [0.5, 0.99]),
      'How far behind its time each packet went to the switch. p99 past 5 ms: the machine is too busy.',
      { thresholds: upTo(0.002, 0.005) },
    ),
    lines(
      'Ends and refusals',
      'short',
      [
        perMinute('voice_gateway_legs_total', 'outcome'),
        { ...perMinute('voice_gateway_leg_connections_refused_total', 'reason'), legend: 'refused: {{reason}}' },
      ],
      'A minute. `fallback`: the AI could not take the call or was lost; `switch_lost`: the switch’s connection broke; refused: connections that were no call.',
    ),

    row('Streamed calls'),
    lines(
      'Streams',
      'short',
      [
        {
          expr: `sum by (direction) (voice_gateway_duplex_connections{${HERE}})`,
          legend: '{{direction}}',
        },
      ],
      'Connections that carry a call’s audio for as long as it lasts: `up` the caller’s, `down` the agent’s. One that carries both counts in each.',
    ),
    lines(
      'Behind its time',
      's',
      quantiles('voice_gateway_duplex_late_seconds', [0.5, 0.95, 0.99]),
      'How late frames were written. Callers hear nothing of it up to the lead, 120 ms unless they asked for another.',
      { thresholds: upTo(0.02, 0.1) },
    ),
    lines(
      'Ran out of audio, cut off',
      'short',
      [
        { ...perMinute('voice_gateway_duplex_underruns_total'), legend: 'ran out' },
        { ...perMinute('voice_gateway_duplex_cut_off_total', 'reason'), legend: 'cut off: {{reason}}' },
      ],
      'A minute. Clients run out when the gateway is later than their lead, or when they do not read; see “Behind its time” for which.',
    ),

    row('Threads'),
    lines(
      'Audio pool tasks',
      's',
      quantiles('voice_gateway_audio_pool_task_seconds', [0.5, 0.99], 'task'),
      'Batches from hand-over to result, waiting included. Rising with the load: AUDIO_THREADS.',
      { thresholds: upTo(0.005, 0.02) },
    ),
    heatmap('Audio pool tasks, spread', 'voice_gateway_audio_pool_task_seconds', 'All kinds of tasks.'),
    lines(
      'Audio pool queue',
      'short',
      [{ expr: `sum by (instance) (voice_gateway_audio_pool_queue_depth{${HERE}})`, legend: '{{instance}}' }],
      'Jobs waiting or running at the moment of the scrape. More than a few a call: the pool does not keep up.',
    ),
    lines(
      'Calls between threads, p99',
      's',
      quantiles('voice_gateway_bus_call_seconds', [0.99], 'method'),
      '`session.open` and `gateway.runTool` wait for the upstream, its rate limit and tools; the others are the bus and the threads themselves.',
    ),
    lines(
      'Calls between threads, a minute',
      'short',
      [perMinute('voice_gateway_bus_calls_total', 'code')],
      'By status code. `UNAVAILABLE`: a thread died; `DEADLINE_EXCEEDED`: it does not answer in time; `CANCELLED` is normal at the end of calls.',
      { isStacked: true },
    ),
    lines(
      'Calls between threads, a minute, by method',
      'short',
      [perMinute('voice_gateway_bus_calls_total', 'method')],
      'Streams count when they end.',
      { isStacked: true },
    ),

    row('HTTP'),
    lines(
      'Requests',
      'reqps',
      [
        {
          expr: `sum by (route) (rate(voice_gateway_http_request_duration_seconds_count{${HERE}}[$__rate_interval]))`,
          legend: '{{route}}',
        },
      ],
      'By route. `unknown`: somebody asks for what is not there.',
      { isStacked: true },
    ),
    lines(
      'Chunk requests, p50 and p99',
      's',
      quantiles(
        'voice_gateway_http_request_duration_seconds',
        [0.5, 0.99],
        undefined,
        ', route="/api/voice/stream/:callId"',
      ),
      'POSTs of caller audio, from the first byte to the answer.',
      { thresholds: upTo(0.01, 0.05) },
    ),
    lines(
      'Answers by status',
      'reqps',
      [
        {
          expr: `sum by (status) (rate(voice_gateway_http_request_duration_seconds_count{${HERE}}[$__rate_interval]))`,
          legend: '{{status}}',
        },
      ],
      '401 and 403: keys; 404: calls that are over or unknown; 503: full, draining, or an upstream that takes no audio.',
      { isStacked: true },
    ),
    heatmap(
      'Requests, spread',
      'voice_gateway_http_request_duration_seconds',
      'Polls include their wait: bands at their timeouts are clients that heard nothing.',
    ),

    row('Upstream'),
    lines(
      'Upstream connect',
      's',
      quantiles('voice_gateway_upstream_connect_seconds', [0.5, 0.95]),
      "From asking for a call's upstream session to its being ready: handshake, session settings, waiting for the connect rate limit.",
      { thresholds: upTo(1, 3) },
    ),
    heatmap(
      'Upstream connect, spread',
      'voice_gateway_upstream_connect_seconds',
      'A band at the timeouts: attempts that failed first.',
    ),

    lines(
      'Spans of traces, a minute',
      'short',
      [perMinute('voice_gateway_trace_spans_total', 'outcome')],
      '`lost`: the receiver at OTEL_EXPORTER_OTLP_ENDPOINT does not take them. No call suffers from it.',
    ),

    row('Tokens and cost'),
    lines(
      'Tokens a second',
      'short',
      [
        {
          expr: `sum by (type) (rate(voice_gateway_upstream_tokens_total{${HERE}}[$__rate_interval]))`,
          legend: '{{type}}',
        },
      ],
      'As the upstream bills them, each token once. Few `cached_…` beside many `input_…`: the prompt cache is missed, as after a reconnect.',
      { isStacked: true },
    ),
    lines(
      'Tokens a second, by model',
      'short',
      [
        {
          expr: `sum by (model) (rate(voice_gateway_upstream_tokens_total{${HERE}}[$__rate_interval]))`,
          legend: '{{model}}',
        },
      ],
      'Models of conversations and of transcription; those that are billed by time have none.',
      { isStacked: true },
    ),
    lines(
      'Cost an hour, by tenant',
      'short',
      [costAnHour('tenant')],
      'By the list of prices, in its currency: set PRICES_FILE to what you pay. Sums to charge on: GET /api/voice/usage.',
      { isStacked: true, decimals: 2 },
    ),
    lines(
      'Cost an hour, by agent',
      'short',
      [costAnHour('agent')],
      'By the list of prices. One agent far above the others: long instructions, long answers, or a dearer model.',
      { isStacked: true, decimals: 2 },
    ),
    lines(
      'Cost of a call',
      'short',
      quantiles('voice_gateway_call_cost', [0.5, 0.95]),
      'By the list of prices. It grows with the square of the length: each answer is billed for all that was said before.',
      { decimals: 3 },
    ),
    lines(
      'Budgets used',
      'percentunit',
      [
        {
          expr: `max by (tenant) (voice_gateway_tenant_budget_used_ratio{${HERE}})`,
          legend: '{{tenant}}',
        },
      ],
      "Part of the day's budget that a tenant has spent; at 100 % its new calls get 429. Empty where nobody has one.",
      { thresholds: upTo(0.8, 1) },
    ),
    stat('Cost an hour', 'short', `3600 * ${COST_RATE}`, 'By the list of prices.', { width: 6, decimals: 2 }),
    stat(
      'Cost a minute of call',
      'short',
      `60 * ${COST_RATE} / sum(avg_over_time(voice_gateway_sessions_active{${HERE}}[$__rate_interval]))`,
      'What a minute of one call costs by the list of prices.',
      { width: 6, decimals: 3 },
    ),
    stat(
      'Input from the cache',
      'percentunit',
      `sum(rate(voice_gateway_upstream_tokens_total{${HERE}, type=~"cached_.*"}[$__rate_interval])) / sum(rate(voice_gateway_upstream_tokens_total{${HERE}, type=~"cached_.*|input_.*"}[$__rate_interval]))`,
      'Share of input tokens that were cached, at a fraction of the price. It should rise with the length of calls.',
      { width: 6, max: 1 },
    ),
    stat(
      'Tokens a minute of call',
      'short',
      `60 * sum(rate(voice_gateway_upstream_tokens_total{${HERE}}[$__rate_interval])) / sum(avg_over_time(voice_gateway_sessions_active{${HERE}}[$__rate_interval]))`,
      'Upstream rate limits are in tokens a minute.',
      { width: 6 },
    ),
    lines(
      'Without a price, a minute',
      'short',
      [perMinute('voice_gateway_unpriced_total', 'model')],
      'Answers and transcriptions of models that the list of prices does not have: they cost nothing here, and something at the upstream.',
    ),
    lines(
      'Transcribed seconds a second',
      'short',
      [
        {
          expr: `sum by (model) (rate(voice_gateway_upstream_billed_seconds_total{${HERE}}[$__rate_interval]))`,
          legend: '{{model}}',
        },
      ],
      "Callers' speech that was transcribed by models that are billed by time.",
    ),
  ],
};
