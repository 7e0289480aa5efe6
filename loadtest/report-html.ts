import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type LoadReport, type ReportSecond, reportText } from './report.ts';
import { formatValue } from './slo.ts';

/** Points a chart shows; longer runs are put together, so that an hour is as quick to look at as a minute. */
const MAX_POINTS = 900;

/** Error codes that have a line of their own; the rarer ones are in the table. */
const MAX_CODES = 6;

type Column = Exclude<keyof ReportSecond, 'second' | 'errorsByCode'>;

interface Series<Name extends string> {
  /** Name of the values in the page's data. */
  readonly column: Name;
  readonly label: string;
  readonly colour: string;
}

interface Chart<Name extends string = string> {
  readonly title: string;
  readonly unit: string;
  readonly series: readonly Series<Name>[];
}

const BLUE = '#2f6fdd';
const ORANGE = '#d9822b';
const RED = '#c8372d';
const GREEN = '#2b8a57';
const GREY = '#7c8796';

const PURPLE = '#7d4fc4';
const CODE_COLOURS = [RED, ORANGE, PURPLE, BLUE, GREEN, GREY];

const CHARTS: readonly Chart<Column>[] = [
  {
    title: 'POST of a chunk: time to its answer',
    unit: 'ms',
    series: [
      { column: 'streamP50', label: 'p50', colour: BLUE },
      { column: 'streamP95', label: 'p95', colour: ORANGE },
      { column: 'streamP99', label: 'p99', colour: RED },
    ],
  },
  {
    title: 'Sample sent → same sample heard',
    unit: 'ms',
    series: [
      { column: 'e2eP50', label: 'p50', colour: BLUE },
      { column: 'e2eP99', label: 'p99', colour: RED },
    ],
  },
  {
    title: 'Frame of the answer: behind its schedule',
    unit: 'ms',
    series: [
      { column: 'arrivalP50', label: 'p50', colour: BLUE },
      { column: 'arrivalP99', label: 'p99', colour: RED },
    ],
  },
  {
    title: 'Gateway: CPU',
    unit: '% of a core',
    series: [{ column: 'gatewayCpu', label: 'CPU', colour: BLUE }],
  },
  {
    title: 'Gateway: event-loop delay of the main thread',
    unit: 'ms',
    series: [
      { column: 'loopMean', label: 'mean', colour: BLUE },
      { column: 'loopP99', label: 'p99', colour: RED },
    ],
  },
  {
    title: 'Memory',
    unit: 'MB',
    series: [
      { column: 'gatewayRssMb', label: 'gateway', colour: BLUE },
      { column: 'generatorRssMb', label: 'generator', colour: GREY },
    ],
  },
  {
    title: 'Gaps in what is heard, late polls, underruns',
    unit: 'a second',
    series: [
      { column: 'gaps', label: 'gaps', colour: ORANGE },
      { column: 'latePolls', label: 'late polls', colour: BLUE },
      { column: 'underruns', label: 'underruns', colour: RED },
    ],
  },
  {
    title: 'Calls',
    unit: '',
    series: [{ column: 'calls', label: 'calls', colour: GREEN }],
  },
  {
    title: 'Generator: how late it sent its own chunks',
    unit: 'ms',
    series: [{ column: 'latenessP99', label: 'p99', colour: GREY }],
  },
];

/** How several seconds become one point: what happened adds up, what was worst stays, the rest is averaged. */
const MERGE: Readonly<Record<Column, 'sum' | 'max' | 'mean'>> = {
  calls: 'mean',
  streamP50: 'mean',
  streamP95: 'max',
  streamP99: 'max',
  e2eP50: 'mean',
  e2eP99: 'max',
  latenessP99: 'max',
  arrivalP50: 'mean',
  arrivalP99: 'max',
  errors: 'sum',
  gaps: 'sum',
  latePolls: 'sum',
  underruns: 'sum',
  requests: 'sum',
  gatewayCpu: 'mean',
  gatewayRssMb: 'mean',
  loopP99: 'max',
  loopMean: 'mean',
  generatorRssMb: 'mean',
};

/** The report as one page that needs nothing else: charts, tables, and all figures as JSON inside. */
export function reportHtml(report: LoadReport): string {
  const columns = Object.keys(MERGE) as Column[];
  const rows = thinned(report.seconds, MAX_POINTS);
  const codes = Object.entries(report.errors)
    .sort(([, a], [, b]) => b - a)
    .slice(0, MAX_CODES)
    .map(([code]) => code);
  const data = {
    seconds: rows.map(({ second }) => second),
    ...Object.fromEntries(columns.map((column) => [column, rows.map((row) => rounded(row[column]))])),
    ...Object.fromEntries(codes.map((code) => [code, rows.map(({ errorsByCode }) => errorsByCode[code] ?? 0)])),
  };
  const charts: Chart[] = [
    ...CHARTS.filter(({ series }) => series.some(({ column }) => rows.some((row) => row[column] !== null))),
    ...(codes.length === 0 ? [] : [errorChart(codes)]),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Load test, ${escaped(report.startedAt)}</title>
<style>
${chartAsset('uPlot.min.css')}
:root { color-scheme: light; font: 15px/1.5 system-ui, sans-serif; color: #1d2530; background: #f5f6f8; }
body { max-width: 1180px; margin: 0 auto; padding: 24px; }
h1 { font-size: 22px; margin: 0 0 4px; }
h2 { font-size: 15px; margin: 0 0 8px; }
p { margin: 0 0 16px; color: #556070; }
pre { background: #fff; border: 1px solid #dde1e7; border-radius: 6px; padding: 14px; overflow-x: auto; font-size: 13px; }
table { border-collapse: collapse; background: #fff; margin: 0 0 16px; }
td, th { border: 1px solid #dde1e7; padding: 4px 12px; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.missed { color: #c8372d; font-weight: 600; }
.met { color: #2b8a57; font-weight: 600; }
.warning { background: #fdecea; border: 1px solid #c8372d; border-radius: 6px; padding: 10px 14px; color: #8c1d14; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(480px, 1fr)); gap: 16px; }
.chart { background: #fff; border: 1px solid #dde1e7; border-radius: 6px; padding: 14px; }
</style>
</head>
<body>
<h1>Load test: ${report.setup.calls} calls, ${escaped(String(report.setup.mode))}</h1>
<p>${escaped(report.startedAt)} · ${escaped(report.machine.cpu)}, ${report.machine.cores} cores, ${report.machine.memoryMb} MB, Node ${escaped(report.machine.node)} · steady state ${report.steadySeconds.toFixed(0)} s</p>
${warnings(report)}
${objectives(report)}
<div class="charts">${charts.map((_, i) => `<div class="chart" id="chart${i}"></div>`).join('')}</div>
<h2 style="margin-top:24px">Figures</h2>
<pre>${escaped(reportText(report))}</pre>
${errorTable(report)}
<h2>Setup</h2>
${pairs(report.setup)}
<script>${chartAsset('uPlot.iife.min.js')}</script>
<script>
const data = ${inScript(data)};
const charts = ${inScript(charts)};
charts.forEach(({ title, unit, series }, i) => {
  const holder = document.getElementById('chart' + i);
  const shown = series.filter(({ column }) => data[column].some((value) => value !== null));
  const size = () => ({ width: Math.max(300, holder.clientWidth - 30), height: 220 });
  const plot = new uPlot({
    ...size(),
    title: unit ? title + ' (' + unit + ')' : title,
    cursor: { sync: { key: 'time' } },
    scales: { x: { time: false }, y: { range: (_, min, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [{ label: 'seconds', labelSize: 20 }, { size: 60 }],
    series: [{ label: 's' }, ...shown.map(({ label, colour }) => ({ label, stroke: colour, width: 1.5, spanGaps: true, points: { show: data.seconds.length < 3 } }))],
  }, [data.seconds, ...shown.map(({ column }) => data[column])], holder);
  addEventListener('resize', () => plot.setSize(size()));
});
</script>
<script type="application/json" id="report">${inScript({ ...report, seconds: undefined })}</script>
</body>
</html>
`;
}

function errorChart(codes: readonly string[]): Chart {
  return {
    title: 'Errors by code',
    unit: 'a second',
    series: codes.map((code, i) => ({ column: code, label: code, colour: CODE_COLOURS[i]! })),
  };
}

/** At most `limit` rows of about equal length in time. */
export function thinned(rows: readonly ReportSecond[], limit: number): ReportSecond[] {
  const size = Math.ceil(rows.length / limit);
  if (size <= 1) return [...rows];
  const thin: ReportSecond[] = [];
  for (let from = 0; from < rows.length; from += size) thin.push(merged(rows.slice(from, from + size)));
  return thin;
}

function merged(rows: readonly ReportSecond[]): ReportSecond {
  const columns = (Object.keys(MERGE) as Column[]).map((column) => {
    const values = rows.map((row) => row[column]).filter((value) => value !== null);
    return [column, values.length === 0 ? null : mergedValue(values, MERGE[column])];
  });
  const errorsByCode: Record<string, number> = {};
  for (const row of rows) {
    for (const [code, count] of Object.entries(row.errorsByCode))
      errorsByCode[code] = (errorsByCode[code] ?? 0) + count;
  }
  return {
    ...(Object.fromEntries(columns) as Omit<ReportSecond, 'second' | 'errorsByCode'>),
    second: rows[0]!.second,
    errorsByCode,
  };
}

function mergedValue(values: readonly number[], how: 'sum' | 'max' | 'mean'): number {
  if (how === 'max') return Math.max(...values);
  const sum = values.reduce((total, value) => total + value, 0);
  return how === 'sum' ? sum : sum / values.length;
}

function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value * 1000) / 1000;
}

function warnings({ generator, steadySeconds, isInterrupted }: LoadReport): string {
  const texts = [
    ...(generator.generatorSaturated
      ? [
          `The generator sent its own chunks late (p99 ${generator.latenessP99Ms.toFixed(0)} ms): latencies say nothing about the gateway.`,
        ]
      : []),
    ...(isInterrupted ? ['The run was interrupted.'] : []),
    ...(steadySeconds === 0 ? ['The steady state was not reached: figures are of the whole run.'] : []),
  ];
  return texts.map((text) => `<p class="warning">${escaped(text)}</p>`).join('\n');
}

function objectives({ slos }: LoadReport): string {
  if (slos.length === 0) return '';
  const rows = slos.map(
    ({ name, unit, limit, actual, met }) =>
      `<tr><td>${escaped(name)}</td><td class="number">${formatValue(actual, unit)}</td><td class="number">${formatValue(limit, unit)}</td><td class="${met ? 'met' : 'missed'}">${met ? 'met' : 'missed'}</td></tr>`,
  );
  return `<table><tr><th>objective</th><th>measured</th><th>at most</th><th></th></tr>${rows.join('')}</table>`;
}

function errorTable({ errors }: LoadReport): string {
  const rows = Object.entries(errors).sort(([, a], [, b]) => b - a);
  if (rows.length === 0) return '';
  const cells = rows.map(([code, count]) => `<tr><td>${escaped(code)}</td><td class="number">${count}</td></tr>`);
  return `<h2>Errors by code</h2><table><tr><th>request and answer</th><th>count</th></tr>${cells.join('')}</table>`;
}

function pairs(values: LoadReport['setup']): string {
  const rows = Object.entries(values).map(
    ([name, value]) => `<tr><td>${escaped(name)}</td><td>${escaped(String(value))}</td></tr>`,
  );
  return `<table>${rows.join('')}</table>`;
}

function chartAsset(file: string): string {
  const main = createRequire(import.meta.url).resolve('uplot');
  return readFileSync(join(dirname(main), file), 'utf8');
}

/** JSON that cannot end the script it stands in. */
function inScript(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
