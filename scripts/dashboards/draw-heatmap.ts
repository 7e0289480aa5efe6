import { axisLabel, type Box, noData, type Period, plotIn, timeAxis, timeX } from './plot.ts';
import type { Series } from './prometheus.ts';
import { formatValue } from './units.ts';

const SHADES = 8;

/** Cumulated buckets become counts of their own, a cell each; the darker, the more. */
export function drawHeatmap(data: readonly (readonly Series[])[], box: Box, period: Period): string {
  const edge = ({ labels }: Series) => (labels['le'] === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels['le']));
  const buckets = (data[0] ?? []).toSorted((a, b) => edge(a) - edge(b));
  const plot = plotIn(box, 18);
  const below = new Map<number, number>();
  const cells = buckets.flatMap(({ points }, row) =>
    points.map(([at, total]) => {
      const count = Math.max(0, total - (below.get(at) ?? 0));
      below.set(at, total);
      return { at, row, count };
    }),
  );
  const times = [...new Set(cells.map(({ at }) => at))].sort((a, b) => a - b);
  const [first, second] = times;
  const most = Math.max(...cells.map(({ count }) => count));
  if (first === undefined || second === undefined || !(most > 0)) return noData(box);
  const cellHeight = plot.height / buckets.length;
  const cellWidth = timeX(second, plot, period) - timeX(first, plot, period);
  const rowY = (row: number) => plot.y + plot.height - (row + 0.5) * cellHeight;
  // A cell is a short thick line, all of one shade one path.
  const shades = Map.groupBy(
    cells.filter(({ count }) => count > 1e-9),
    ({ count }) => Math.ceil(Math.sqrt(count / most) * SHADES),
  );
  const drawn = [...shades].map(([shade, ofShade]) => {
    const path = ofShade
      .map(({ at, row }) => `M${Math.round(timeX(at, plot, period) - cellWidth)} ${rowY(row).toFixed(1)}`)
      .map((start) => `${start}h${Math.max(1, Math.round(cellWidth) - 1)}`)
      .join('');
    return `<path d="${path}" stroke="#d9480f" stroke-opacity="${(0.08 + (0.92 * shade) / SHADES).toFixed(2)}" stroke-width="${(cellHeight - 1).toFixed(1)}"/>`;
  });
  // An edge is written at the upper side of its cells.
  const labels = buckets.flatMap((bucket, row) => {
    const le = edge(bucket);
    if (row % 2 === 1 || !Number.isFinite(le)) return [];
    return [axisLabel(rowY(row) - cellHeight / 2, plot, formatValue(le, 's'))];
  });
  const ground = `<rect x="${plot.x}" y="${plot.y}" width="${plot.width}" height="${plot.height}" fill="#fafafa"/>`;
  return [ground, ...drawn, ...labels, timeAxis(plot, period)].join('');
}
