import type { Panel } from './dashboard.ts';
import {
  axisLabel,
  type Box,
  COLORS,
  GREY,
  noData,
  type Period,
  plotIn,
  text,
  ticksTo,
  timeAxis,
  timeX,
  valueY,
  widthOf,
} from './plot.ts';
import type { Series } from './prometheus.ts';
import { formatValue } from './units.ts';

const PALETTE = [
  '#3274d9',
  '#e0752d',
  '#37872d',
  '#a352cc',
  '#c4162a',
  '#0a437c',
  '#c7a200',
  '#1f9e89',
  '#b877d9',
  '#705da0',
];
const LEGEND_ROWS = 3;
const LEGEND_ROW = 14;

type Points = Series['points'];

interface Line {
  readonly name: string;
  readonly points: Points;
  readonly color: string;
}

/** Lines over time with their legend: name and last value. Of lines that were 0 all the time one is drawn, if at all. */
export function drawLines(panel: Panel, data: readonly (readonly Series[])[], box: Box, period: Period): string {
  const { unit, thresholds, custom } = panel.fieldConfig.defaults;
  const all = data
    .flatMap((series, query) =>
      series.map(({ labels, points }) => ({ name: legendOf(panel.targets[query]!.legendFormat, labels), points })),
    )
    .filter(({ points }) => points.some(([, value]) => Number.isFinite(value)));
  if (all.length === 0) return noData(box);
  const busy = all.filter(({ points }) => points.some(([, value]) => Number.isFinite(value) && value !== 0));
  const lines: Line[] = (busy.length > 0 ? busy : all.slice(0, 1)).map((line, index) => ({
    ...line,
    color: PALETTE[index % PALETTE.length]!,
  }));
  const limits = thresholds.steps.filter(({ value }) => value !== null && value > 0);
  const isStacked = custom?.stacking.mode === 'normal';
  const tops = isStacked ? stacked(lines) : lines.map(({ points }) => points);
  const values = tops.flat().flatMap(([, value]) => (Number.isFinite(value) ? [value] : []));
  const ticks = ticksTo(Math.max(...values) || (limits.at(-1)?.value ?? 1), unit);
  const most = ticks.at(-1)!;
  const { drawn: legendDrawn, rows } = legend(lines, unit, box);
  const plot = plotIn(box, 18 + rows * LEGEND_ROW);
  const across = (value: number, attributes: string) => {
    const y = valueY(value, most, plot);
    return `<line x1="${plot.x}" x2="${plot.x + plot.width}" y1="${y}" y2="${y}" ${attributes}/>`;
  };
  const grid = ticks.map(
    (value) => across(value, 'stroke="#e4e4e4"') + axisLabel(valueY(value, most, plot), plot, formatValue(value, unit)),
  );
  const dashes = limits
    .filter(({ value }) => value! <= most)
    .map(({ value, color }) => across(value!, `stroke="${COLORS[color]}" stroke-dasharray="5 4"`));
  const areas = isStacked
    ? tops.map((points, index) => area(points, tops[index - 1], lines[index]!.color, most, plot, period))
    : [];
  const paths = tops.map((points, index) =>
    runsOf(points)
      .map(
        (run) =>
          `<path d="${pathOf(run, most, plot, period)}" fill="none" stroke="${lines[index]!.color}" stroke-width="1.4"/>`,
      )
      .join(''),
  );
  return [...grid, ...areas, ...dashes, ...paths, timeAxis(plot, period), legendDrawn].join('');
}

function pathOf(points: Points, most: number, plot: Box, period: Period): string {
  return `M${points.map(([at, value]) => `${timeX(at, plot, period)} ${valueY(value, most, plot)}`).join('L')}`;
}

/** Between a line of a stack and the one below it. */
function area(top: Points, below: Points | undefined, color: string, most: number, plot: Box, period: Period): string {
  const under = new Map(below);
  const bottom = top.map(([at]) => [at, under.get(at) ?? 0] as const).toReversed();
  const path = pathOf([...top, ...bottom], most, plot, period);
  return `<path d="${path}Z" fill="${color}" fill-opacity="0.25"/>`;
}

/** Names and last values, in as many rows as they need. */
function legend(lines: readonly Line[], unit: string, box: Box): { drawn: string; rows: number } {
  const left = box.x + 4;
  const entries: { x: number; row: number; label: string; color: string }[] = [];
  let x = left;
  let row = 0;
  for (const { name, points, color } of lines) {
    const last = points.findLast(([, value]) => Number.isFinite(value))![1];
    const label = `${name} ${formatValue(last, unit)}`;
    const width = widthOf(label) + 24;
    if (x > left && x + width > box.x + box.width) {
      row += 1;
      x = left;
    }
    entries.push({ x, row, label, color });
    x += width;
  }
  const rows = Math.min(LEGEND_ROWS, row + 1);
  const shown = entries.filter((entry) => entry.row < rows);
  const top = box.y + box.height - (rows - 1) * LEGEND_ROW;
  const parts = shown.map(
    (entry) =>
      `<rect x="${entry.x}" y="${top + entry.row * LEGEND_ROW - 6}" width="10" height="3" fill="${entry.color}"/>${text(entry.x + 14, top + entry.row * LEGEND_ROW, entry.label, 'fill="#444"')}`,
  );
  const leftOut = entries.length - shown.length;
  if (leftOut > 0) {
    parts.push(text(box.x + box.width, box.y + box.height, `+${leftOut}`, `text-anchor="end" fill="${GREY}"`));
  }
  return { drawn: parts.join(''), rows };
}

/** Each line on top of those before it. Where a line has no value it adds nothing. */
function stacked(lines: readonly Line[]): Points[] {
  const sums = new Map<number, number>();
  const times = [...new Set(lines.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b);
  return lines.map(({ points }) => {
    const values = new Map(points);
    return times.map((at) => {
      const value = values.get(at) ?? 0;
      const sum = (sums.get(at) ?? 0) + (Number.isFinite(value) ? value : 0);
      sums.set(at, sum);
      return [at, sum] as const;
    });
  });
}

/** Stretches without a gap. */
function runsOf(points: Points): Points[] {
  const runs: (readonly [number, number])[][] = [[]];
  for (const point of points) {
    if (Number.isFinite(point[1])) runs.at(-1)!.push(point);
    else if (runs.at(-1)!.length > 0) runs.push([]);
  }
  return runs.filter((run) => run.length > 0);
}

export function legendOf(format: string, labels: Readonly<Record<string, string>>): string {
  return format.replaceAll(/{{(\w+)}}/g, (_, name: string) => labels[name] ?? '');
}
