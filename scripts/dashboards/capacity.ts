import type { DashboardSpec } from './dashboard.ts';
import { facts, HERE, lines, perMinute, row, stat, upTo } from './panels.ts';

const CPU = `rate(process_cpu_seconds_total{${HERE}}[$__rate_interval])`;
const MAIN_BUSY = `rate(voice_gateway_main_thread_busy_seconds_total{${HERE}}[$__rate_interval])`;
const WORKER_BUSY = `rate(voice_gateway_session_worker_busy_seconds_total{${HERE}}[$__rate_interval])`;
const ACTIVE = `voice_gateway_sessions_active{${HERE}}`;
const CPUS = `voice_gateway_cpus{${HERE}}`;

function each(expr: string, legend: string): { expr: string; legend: string } {
  return { expr: `sum by (instance) (${expr})`, legend };
}

/** How full a gateway is, and how many calls more it takes. */
export const capacity: DashboardSpec = {
  uid: 'voice-gateway-capacity',
  title: 'Voice gateway: Capacity',
  description: 'CPU, event loop, threads and memory against their limits, in all and a call.',
  panels: [
    stat(
      'Calls of the limit',
      'percentunit',
      `max(${ACTIVE} / voice_gateway_sessions_limit{${HERE}})`,
      'Fullest gateway: sessions against MAX_SESSIONS. At 100 % new calls get 503 and go to the fallback.',
      { thresholds: upTo(0.8, 0.95), max: 1 },
    ),
    stat(
      'CPU of all',
      'percentunit',
      `max(${CPU} / ${CPUS})`,
      'Busiest gateway: share of the CPUs it may use. Above 80 % latencies rise.',
      { thresholds: upTo(0.7, 0.85), max: 1 },
    ),
    stat(
      'Main thread busy',
      'percentunit',
      `max(${MAIN_BUSY})`,
      'Busiest gateway. HTTP and bookkeeping use one core at most: when this is full the gateway is, however many cores there are. Then: another gateway.',
      { thresholds: upTo(0.7, 0.85), max: 1 },
    ),
    stat(
      'CPU a call',
      'percentunit',
      `sum(${CPU}) / sum(avg_over_time(${ACTIVE}[$__rate_interval]))`,
      'Share of one core that a call costs, everything included. It falls with the number of calls.',
      { decimals: 2 },
    ),
    stat(
      'Memory a call',
      'bytes',
      `sum(process_resident_memory_bytes{${HERE}}) / sum(${ACTIVE})`,
      'Resident memory over calls. The daemon itself is in it, so it means something from a few dozen calls on.',
    ),
    stat(
      'Room for calls, estimated',
      'short',
      `sum(0.8 * ${ACTIVE} / ((${MAIN_BUSY} > ${CPU} / ${CPUS}) or ${CPU} / ${CPUS}))`,
      'Calls at which the main thread or all CPUs would be 80 % busy if each further call cost what the present ones do. A cautious guess from some dozen calls on: calls get cheaper the more there are.',
      { decimals: 0 },
    ),

    row('CPU'),
    lines(
      'CPU',
      'short',
      [
        each(`rate(process_cpu_user_seconds_total{${HERE}}[$__rate_interval])`, 'user, {{instance}}'),
        each(`rate(process_cpu_system_seconds_total{${HERE}}[$__rate_interval])`, 'system, {{instance}}'),
        each(CPUS, 'CPUs of {{instance}}'),
      ],
      'Cores in use by all threads, and how many there are.',
    ),
    lines(
      'CPU a call',
      'percentunit',
      [
        {
          expr: `sum by (instance) (${CPU}) / sum by (instance) (avg_over_time(${ACTIVE}[$__rate_interval]))`,
          legend: '{{instance}}',
        },
      ],
      'Share of one core. Rising at the same number of calls: something new on the hot path.',
    ),
    lines(
      'Main thread busy',
      'percentunit',
      [each(MAIN_BUSY, '{{instance}}')],
      'Share of time the main thread runs code.',
      { thresholds: upTo(0.7, 0.85), max: 1 },
    ),
    lines(
      'Session workers busy',
      'short',
      [each(WORKER_BUSY, '{{instance}}')],
      'Cores that the session workers use together. With SESSION_WORKERS set to a number, close to that number means full.',
    ),

    row('Event loop'),
    lines(
      'Event-loop delay of the main thread',
      's',
      [
        { expr: `max by (instance) (nodejs_eventloop_lag_p50_seconds{${HERE}})`, legend: 'p50 {{instance}}' },
        { expr: `max by (instance) (nodejs_eventloop_lag_p99_seconds{${HERE}})`, legend: 'p99 {{instance}}' },
        { expr: `max by (instance) (nodejs_eventloop_lag_max_seconds{${HERE}})`, legend: 'max {{instance}}' },
      ],
      'How late timers of the main thread run, since the last scrape; sampled every 10 ms, and an idle loop shows about 10 ms. Spikes delay everything that callers hear.',
      { thresholds: upTo(0.03, 0.1) },
    ),
    lines(
      'Garbage collection',
      'percentunit',
      [
        {
          expr: `sum by (kind) (rate(nodejs_gc_duration_seconds_sum{${HERE}}[$__rate_interval]))`,
          legend: '{{kind}}',
        },
      ],
      'Share of time the main thread collects garbage, by kind. `major` of more than some percent: too little heap.',
    ),

    row('Threads and memory'),
    lines(
      'Session workers',
      'short',
      [{ expr: `sum by (state) (voice_gateway_session_workers{${HERE}})`, legend: '{{state}}' }],
      'Threads that hold upstream sockets. No `spare` ones while calls arrive (dedicated mode): raise SPARE_SESSION_WORKERS, or setup times rise by a thread’s start.',
      { isStacked: true },
    ),
    lines(
      'Session workers that died, a minute',
      'short',
      [perMinute('voice_gateway_session_workers_lost_total')],
      'Their calls went on with other workers (shared) or ended (dedicated). Search the log for `session worker died`.',
    ),
    lines(
      'Memory',
      'bytes',
      [
        each(`process_resident_memory_bytes{${HERE}}`, 'resident, {{instance}}'),
        each(`nodejs_heap_size_used_bytes{${HERE}}`, 'heap of the main thread, {{instance}}'),
        each(`nodejs_external_memory_bytes{${HERE}}`, 'buffers, {{instance}}'),
      ],
      'Resident memory grows with the most calls there were at once, and stays. Growing without more calls: a leak; take a heap snapshot.',
    ),
    lines(
      'Memory a call',
      'bytes',
      [
        {
          expr: `sum by (instance) (process_resident_memory_bytes{${HERE}}) / sum by (instance) (${ACTIVE})`,
          legend: '{{instance}}',
        },
      ],
      'Resident memory over calls.',
    ),
    lines(
      'Audio pool queue',
      'short',
      [each(`voice_gateway_audio_pool_queue_depth{${HERE}}`, '{{instance}}')],
      'Jobs waiting or running. Always above the number of calls: more AUDIO_THREADS, if there are cores for them.',
    ),
    lines(
      'Open files',
      'short',
      [
        each(`process_open_fds{${HERE}}`, 'open, {{instance}}'),
        each(`process_max_fds{${HERE}}`, 'limit of {{instance}}'),
      ],
      'Sockets are files: about three a call. Near the limit: LimitNOFILE of the unit, or `ulimits` of the container.',
    ),
    lines(
      'Calls of the limit',
      'percentunit',
      [
        {
          expr: `sum by (instance) (${ACTIVE}) / sum by (instance) (voice_gateway_sessions_limit{${HERE}})`,
          legend: '{{instance}}',
        },
      ],
      'Sessions against MAX_SESSIONS.',
      { width: 8, thresholds: upTo(0.8, 0.95), max: 1 },
    ),
    lines(
      'Up since',
      's',
      [{ expr: `time() - max by (instance) (process_start_time_seconds{${HERE}})`, legend: '{{instance}}' }],
      'Seconds since the start. A saw-tooth: the daemon is restarted, see the log.',
      { width: 8 },
    ),
    facts(
      'What runs',
      {
        expr: `sum by (instance, version, node, upstream, session_workers) (voice_gateway_info{${HERE}})`,
        legend: '{{instance}}: {{version}}, Node {{node}}, upstream {{upstream}}, workers {{session_workers}}',
      },
      'Version, Node and mode of each gateway.',
    ),
  ],
};
