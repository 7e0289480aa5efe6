import type { Dashboard, Panel } from './dashboard.ts';
import type { Series } from './prometheus.ts';
import { formatValue } from './units.ts';

const COLUMN = 58;
const ROW = 30;
const GAP = 6;
const HEADER = 80;
const CAPTION_LINE = 190;
const PALETTE = [
  '#3274d9',
  '#e0752d',
  '#37872d',
  '#a352cc',
  '#c4162a',
  '#0a437c',
  '#b877d9',
  '#8f8f00',
  '#1f9e89',
  '#705da0',
];
const COLORS: Readonly<Record<string, string>> = {
  green: '#37872d',
  yellow: '#c7a200',
  orange: '#e0752d',
  red: '#c4162a',
  blue: '#1f60c4',
};

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The series of each query, by the panel's id. */
export type PanelData = ReadonlyMap<number, readonly (readonly Series[])[]>;

/**
 * A picture of a dashboard, as an SVG file: every panel where it lies, with what Prometheus answered.
 * @param period from when to when, in milliseconds
 */
export function drawDashboard(
  dashboard: Dashboard,
  data: PanelData,
  caption: string,
  period: readonly [number, number],
): string {
  const height = HEADER + Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * ROW;
  const width = 24 * COLUMN;
  const panels = dashboard.panels.map((panel) => drawPanel(panel, data.get(panel.id) ?? [], period));
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#f4f5f5"/>
${text(12, 26, dashboard.title, 'font-size="18" font-weight="600"')}
${captionLines(caption)
  .map((line, index) => text(12, 44 + index * 15, line, 'fill="#666"'))
  .join('\n')}
${panels.join('\n')}
</svg>
`;
}

function captionLines(caption: string): string[] {
  const lines = [''];
  for (const word of caption.split(' ')) {
    if (lines.at(-1)!.length + word.length > CAPTION_LINE) lines.push('');
    lines.push(`${lines.pop()} ${word}`.trim());
  }
  return lines;
}

function drawPanel(panel: Panel, data: readonly (readonly Series[])[], period: readonly [number, number]): string {
  const { x, y, w, h } = panel.gridPos;
  const left = x * COLUMN + GAP / 2;
  const top = HEADER + y * ROW + GAP / 2;
  if (panel.type === 'row') return text(left + 4, top + 18, panel.title, 'font-size="14" font-weight="600"');
  const width = w * COLUMN - GAP;
  const height = h * ROW - GAP;
  const frame = `<rect x="${left}" y="${top}" width="${width}" height="${height}" rx="3" fill="#fff" stroke="#d8d9da"/>`;
  const title = text(left + 8, top + 16, panel.title, 'font-weight="600"');
  const body: Box = { x: left + 8, y: top + 26, width: width - 16, height: height - 34 };
  const draw = panel.type === 'stat' ? drawStat : panel.type === 'heatmap' ? drawHeatmap : drawLines;
  return `<g>${frame}${title}${draw(panel, data, body, period)}</g>`;
}

function drawStat(
  panel: Panel,
  data: readonly (readonly Series[])[],
  box: Box,
  period: readonly [number, number],
): string {
  const points = data[0]?.[0]?.points.filter(([, value]) => Number.isFinite(value)) ?? [];
  const last = points.at(-1)?.[1];
  const { unit, thresholds, decimals } = panel.fieldConfig.defaults;
  const step = thresholds.steps.findLast(({ value }) => value === null || (last !== undefined && last >= value));
  const color = COLORS[step?.color ?? 'blue']!;
  const shown = last === undefined ? 'no data' : formatValue(last, unit, decimals);
  const most = Math.max(...points.map(([, value]) => value), 1e-12);
  const spark = { ...box, y: box.y + box.height / 2, height: box.height / 2 };
  const line = points.map(([at, value]) => `${timeX(at, spark, period)},${valueY(value, most, spark)}`).join(' ');
  return `${text(box.x, box.y + 28, shown, `font-size="26" font-weight="600" fill="${color}"`)}<polyline points="${line}" fill="none" stroke="${color}" stroke-opacity="0.5"/>`;
}

function drawLines(
  panel: Panel,
  data: readonly (readonly Series[])[],
  box: Box,
  period: readonly [number, number],
): string {
  const { unit, thresholds, custom } = panel.fieldConfig.defaults;
  const found = data.flatMap((series, query) =>
    series
      .filter(({ points }) => points.some(([, value]) => Number.isFinite(value)))
      .map((one) => ({ ...one, name: legendOf(panel.targets[query]!.legendFormat, one.labels) })),
  );
  if (found.length === 0) return text(box.x, box.y + 20, 'no data', 'fill="#c4162a"');
  const isStacked = custom?.stacking.mode === 'normal';
  // Of many series that were 0 all the time one is enough, and only where nothing else is to be seen.
  const busy = found.filter(({ points }) => points.some(([, value]) => value !== 0 && Number.isFinite(value)));
  const all = busy.length > 0 ? busy : found.slice(0, 1);
  const layers = isStacked ? stacked(all.map(({ points }) => points)) : all.map(({ points }) => points);
  const limits = thresholds.steps.flatMap(({ value, color }) =>
    value === null || value === 0 ? [] : [{ value, color }],
  );
  const most = (Math.max(...layers.flat().map(([, value]) => (Number.isFinite(value) ? value : 0))) || 1) * 1.08;
  const plot: Box = { x: box.x + 58, y: box.y, width: box.width - 62, height: box.height - 34 };
  const grid = [0, 0.5, 1].map((share) => {
    const y = valueY(most * share, most, plot);
    return `<line x1="${plot.x}" x2="${plot.x + plot.width}" y1="${y}" y2="${y}" stroke="#e4e4e4"/>${text(plot.x - 6, y + 4, formatValue(most * share, unit), 'text-anchor="end" fill="#777"')}`;
  });
  const dashes = limits
    .filter(({ value }) => value <= most)
    .map(({ value, color }) => {
      const y = valueY(value, most, plot);
      return `<line x1="${plot.x}" x2="${plot.x + plot.width}" y1="${y}" y2="${y}" stroke="${COLORS[color]}" stroke-dasharray="5 4"/>`;
    });
  const lines = layers.map((points, index) => {
    const color = PALETTE[index % PALETTE.length]!;
    return runsOf(points)
      .map((run) => run.map(([at, value]) => `${timeX(at, plot, period)},${valueY(value, most, plot)}`).join(' '))
      .map((path) => `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="1.4"/>`)
      .join('');
  });
  const seconds = Math.round((period[1] - period[0]) / 1000);
  const times = `${text(plot.x, plot.y + plot.height + 12, '0 s', 'fill="#777"')}${text(plot.x + plot.width, plot.y + plot.height + 12, `${seconds} s`, 'text-anchor="end" fill="#777"')}`;
  return `${grid.join('')}${dashes.join('')}${lines.join('')}${times}${legend(all, unit, box)}`;
}

function legend(all: readonly { name: string; points: Series['points'] }[], unit: string, box: Box): string {
  const parts: string[] = [];
  let x = box.x + 4;
  const y = box.y + box.height;
  for (const [index, { name, points }] of all.entries()) {
    const last = points.findLast(([, value]) => Number.isFinite(value))?.[1];
    const label = `${name} ${last === undefined ? '' : formatValue(last, unit)}`.trim();
    const width = label.length * 5.8 + 22;
    if (x + width > box.x + box.width) {
      parts.push(text(x, y, `+${all.length - index}`, 'fill="#777"'));
      break;
    }
    parts.push(
      `<rect x="${x}" y="${y - 8}" width="10" height="3" fill="${PALETTE[index % PALETTE.length]}"/>${text(x + 14, y, label, 'fill="#444"')}`,
    );
    x += width;
  }
  return parts.join('');
}

/** Cumulated buckets become counts of their own, a cell each; the darker, the more. */
function drawHeatmap(
  _panel: Panel,
  data: readonly (readonly Series[])[],
  box: Box,
  period: readonly [number, number],
): string {
  const edge = ({ labels }: Series) => (labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.le));
  const buckets = (data[0] ?? []).toSorted((a, b) => edge(a) - edge(b));
  if (buckets.length === 0) return text(box.x, box.y + 20, 'no data', 'fill="#c4162a"');
  const plot: Box = { x: box.x + 58, y: box.y, width: box.width - 62, height: box.height - 20 };
  const below = new Map<number, number>();
  const cells = buckets.map((bucket) =>
    bucket.points.map(([at, total]) => {
      const count = Math.max(0, total - (below.get(at) ?? 0));
      below.set(at, total);
      return [at, count] as const;
    }),
  );
  const most = Math.max(...cells.flat().map(([, count]) => count), 1e-12);
  const cellHeight = plot.height / buckets.length;
  const columns = Math.max(...cells.map((row) => row.length));
  const cellWidth = plot.width / Math.max(1, columns);
  const drawn = cells.flatMap((row, index) =>
    row
      .filter(([, count]) => count > 1e-9)
      .map(([at, count]) => {
        const x = Math.min(timeX(at, plot, period), plot.x + plot.width - cellWidth);
        const y = plot.y + plot.height - (index + 1) * cellHeight;
        return `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${(cellWidth - 0.6).toFixed(1)}" height="${(cellHeight - 0.6).toFixed(1)}" fill="#d9480f" fill-opacity="${(0.12 + 0.88 * Math.sqrt(count / most)).toFixed(2)}"/>`;
      }),
  );
  const labels = buckets
    .map((bucket, index) => ({ le: edge(bucket), index }))
    .filter(({ index }) => index % 2 === 0)
    .map(({ le, index }) => {
      const shown = Number.isFinite(le) ? formatValue(le, 's') : '+Inf';
      return text(plot.x - 6, plot.y + plot.height - index * cellHeight - 2, shown, 'text-anchor="end" fill="#777"');
    });
  return `<rect x="${plot.x}" y="${plot.y}" width="${plot.width}" height="${plot.height}" fill="#fafafa"/>${drawn.join('')}${labels.join('')}`;
}

function stacked(layers: readonly Series['points'][]): (readonly (readonly [number, number])[])[] {
  const sums = new Map<number, number>();
  return layers.map((points) =>
    points.map(([at, value]) => {
      const sum = (sums.get(at) ?? 0) + (Number.isFinite(value) ? value : 0);
      sums.set(at, sum);
      return [at, sum] as const;
    }),
  );
}

/** Stretches without a gap. */
function runsOf(points: Series['points']): (readonly [number, number])[][] {
  const runs: (readonly [number, number])[][] = [[]];
  for (const point of points) {
    if (Number.isFinite(point[1])) runs.at(-1)!.push(point);
    else if (runs.at(-1)!.length > 0) runs.push([]);
  }
  return runs.filter((run) => run.length > 0);
}

function legendOf(format: string, labels: Readonly<Record<string, string>>): string {
  return format.replaceAll(/{{(\w+)}}/g, (_, name: string) => labels[name] ?? '');
}

function timeX(atSeconds: number, { x, width }: Box, [fromMs, toMs]: readonly [number, number]): number {
  return Math.round((x + ((atSeconds * 1000 - fromMs) / (toMs - fromMs)) * width) * 10) / 10;
}

function valueY(value: number, most: number, { y, height }: Box): number {
  return Math.round((y + height - (value / most) * height) * 10) / 10;
}

function text(x: number, y: number, content: string, attributes = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return `<text x="${x}" y="${y}" ${attributes}>${escaped}</text>`;
}
