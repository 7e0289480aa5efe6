import type { Dashboard, Panel } from './dashboard.ts';
import { drawHeatmap } from './draw-heatmap.ts';
import { drawLines, legendOf } from './draw-lines.ts';
import { type Box, COLORS, noData, type Period, text, timeX, valueY, widthOf } from './plot.ts';
import type { Series } from './prometheus.ts';
import { formatValue } from './units.ts';

const COLUMN = 58;
const ROW = 30;
const GAP = 6;
const HEADER = 84;
const FONT = 'Inter, Helvetica, Arial, DejaVu Sans, sans-serif';

/** The series of each query, by the panel's id. */
export type PanelData = ReadonlyMap<number, readonly (readonly Series[])[]>;

/** A picture of a dashboard, as an SVG file: every panel where it lies, with what Prometheus answered. */
export function drawDashboard(dashboard: Dashboard, data: PanelData, caption: string, period: Period): string {
  const height = HEADER + Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * ROW;
  const width = 24 * COLUMN;
  const panels = dashboard.panels.map((panel) => drawPanel(panel, data.get(panel.id) ?? [], period));
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${FONT}" font-size="11">
<rect width="100%" height="100%" fill="#f4f5f5"/>
${text(12, 26, dashboard.title, 'font-size="18" font-weight="600"')}
${wrapped(caption, width - 24)
  .map((line, index) => text(12, 46 + index * 15, line, 'fill="#555"'))
  .join('\n')}
${panels.join('\n')}
</svg>
`;
}

/** Lines of words, none wider than `width`. */
function wrapped(content: string, width: number): string[] {
  const lines = [''];
  for (const word of content.split(' ')) {
    if (widthOf(`${lines.at(-1)} ${word}`) > width) lines.push('');
    lines.push(`${lines.pop()} ${word}`.trim());
  }
  return lines;
}

function drawPanel(panel: Panel, data: readonly (readonly Series[])[], period: Period): string {
  const { x, y, w, h } = panel.gridPos;
  const left = x * COLUMN + GAP / 2;
  const top = HEADER + y * ROW + GAP / 2;
  if (panel.type === 'row') return text(left + 4, top + 18, panel.title, 'font-size="14" font-weight="600"');
  const width = w * COLUMN - GAP;
  const height = h * ROW - GAP;
  const frame = `<rect x="${left}" y="${top}" width="${width}" height="${height}" rx="3" fill="#fff" stroke="#d8d9da"/>`;
  const title = text(left + 8, top + 16, panel.title, 'font-weight="600"');
  const body: Box = { x: left + 8, y: top + 26, width: width - 16, height: height - 34 };
  return `<g>${frame}${title}${drawBody(panel, data, body, period)}</g>`;
}

function drawBody(panel: Panel, data: readonly (readonly Series[])[], box: Box, period: Period): string {
  switch (panel.type) {
    case 'timeseries':
      return drawLines(panel, data, box, period);
    case 'heatmap':
      return drawHeatmap(data, box, period);
    case 'stat':
      return panel.options?.textMode === 'name' ? drawNames(panel, data, box) : drawStat(panel, data, box, period);
    default:
      return '';
  }
}

/** The last value, with its course behind it. */
function drawStat(panel: Panel, data: readonly (readonly Series[])[], box: Box, period: Period): string {
  const points = data[0]?.[0]?.points.filter(([, value]) => Number.isFinite(value)) ?? [];
  const last = points.at(-1)?.[1];
  if (last === undefined) return noData(box);
  const { unit, thresholds, decimals } = panel.fieldConfig.defaults;
  const step = thresholds.steps.findLast(({ value }) => value === null || last >= value);
  const color = COLORS[step?.color ?? 'blue']!;
  const shown = formatValue(last, unit, decimals);
  const most = Math.max(...points.map(([, value]) => value), 1e-12);
  const spark = { ...box, y: box.y + box.height / 2 + 4, height: box.height / 2 - 4 };
  const path = points.map(([at, value]) => `${timeX(at, spark, period)} ${valueY(value, most, spark)}`).join('L');
  return `${text(box.x, box.y + 28, shown, `font-size="26" font-weight="600" fill="${color}"`)}<path d="M${path}" fill="none" stroke="${color}" stroke-opacity="0.5"/>`;
}

/** What each series says of itself. */
function drawNames(panel: Panel, data: readonly (readonly Series[])[], box: Box): string {
  const names = data.flatMap((series, query) =>
    series.map(({ labels }) => legendOf(panel.targets[query]!.legendFormat, labels)),
  );
  if (names.length === 0) return noData(box);
  return names
    .flatMap((name) => wrapped(name, box.width / 1.3))
    .map((line, index) => text(box.x, box.y + 24 + index * 20, line, `font-size="14" fill="${COLORS['blue']}"`))
    .join('');
}
