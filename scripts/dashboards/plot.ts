/** What all kinds of panels are drawn with: boxes, axes, text. Lengths are SVG's user units. */

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** From when to when, in milliseconds since 1970. */
export type Period = readonly [fromMs: number, toMs: number];

export const COLORS: Readonly<Record<string, string>> = {
  green: '#37872d',
  yellow: '#c7a200',
  orange: '#e0752d',
  red: '#c4162a',
  blue: '#1f60c4',
};
export const GREY = '#6b6f76';

/** For labels left of a plot. */
const AXIS_WIDTH = 58;
const TIME_STEPS_SECONDS = [10, 20, 30, 60, 120, 300, 600, 1200, 3600];
const MOST_TIMES = 7;

export function text(x: number, y: number, content: string, attributes = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return `<text x="${round(x)}" y="${round(y)}"${attributes === '' ? '' : ` ${attributes}`}>${escaped}</text>`;
}

/** How long a text of the usual size is at most. */
export function widthOf(content: string): number {
  return content.length * 6.7;
}

/** The part of a panel's box where values are drawn. */
export function plotIn({ x, y, width, height }: Box, below: number): Box {
  return { x: x + AXIS_WIDTH, y: y + 6, width: width - AXIS_WIDTH - 4, height: height - 6 - below };
}

export function timeX(atSeconds: number, { x, width }: Box, [fromMs, toMs]: Period): number {
  return round(x + ((atSeconds * 1000 - fromMs) / (toMs - fromMs)) * width);
}

export function valueY(value: number, most: number, { y, height }: Box): number {
  return round(y + height - (value / most) * height);
}

/** Values for the lines of a grid, from 0 to at least `most`: round numbers of the unit. */
export function ticksTo(most: number, unit: string): number[] {
  const scale = unit === 'bytes' ? (most >= 1024 ** 3 ? 1024 ** 3 : 1024 ** 2) : 1;
  const atLeast = most / scale / 3;
  const power = 10 ** Math.floor(Math.log10(atLeast));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= atLeast * 0.999)!;
  const count = Math.max(1, Math.ceil(most / scale / step - 1e-9));
  return Array.from({ length: count + 1 }, (_, i) => i * step * scale);
}

/** Minutes and seconds since the beginning, below a plot. */
export function timeAxis(plot: Box, period: Period): string {
  const seconds = (period[1] - period[0]) / 1000;
  const step = TIME_STEPS_SECONDS.find((one) => seconds / one <= MOST_TIMES) ?? seconds;
  const labels: string[] = [];
  for (let at = 0; at <= seconds; at += step) {
    const shown = `${Math.floor(at / 60)}:${String(at % 60).padStart(2, '0')}`;
    const x = timeX(period[0] / 1000 + at, plot, period);
    const anchor = at === 0 ? 'start' : 'middle';
    labels.push(text(x, plot.y + plot.height + 14, shown, `text-anchor="${anchor}" fill="${GREY}"`));
  }
  return labels.join('');
}

/** A label left of a plot. */
export function axisLabel(y: number, plot: Box, content: string): string {
  return text(plot.x - 6, y + 4, content, `text-anchor="end" fill="${GREY}"`);
}

export function noData({ x, y }: Box): string {
  return text(x, y + 20, 'no data', `fill="${COLORS.red}"`);
}

export function round(value: number): number {
  return Math.round(value * 10) / 10;
}
