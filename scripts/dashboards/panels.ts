/** Grafana dashboards as functions: a panel is a title, what it tells, its queries and its unit; the layout follows. */

/** The provisioned datasource, by its fixed uid. */
export const DATASOURCE = { type: 'prometheus', uid: 'voice-gateway-prometheus' } as const;

/** What every query is narrowed to. */
export const HERE = 'instance=~"$instance"';

const COLUMNS = 24;

export interface Query {
  readonly expr: string;
  /** Grafana's template of the series' name. */
  readonly legend: string;
}

export interface ThresholdStep {
  readonly value: number;
  readonly color: 'green' | 'yellow' | 'orange' | 'red';
}

export interface PanelSpec {
  readonly title: string;
  /** What it shows, and what to do when it looks bad. */
  readonly description: string;
  readonly queries: readonly Query[];
  /** Grafana's unit id: `s`, `percentunit`, `short`, `bytes`, `reqps`, `currencyUSD` … */
  readonly unit: string;
  readonly width: number;
  readonly height: number;
  /** Where green ends; absent: no judgement. */
  readonly thresholds?: readonly ThresholdStep[] | undefined;
  readonly kind: 'timeseries' | 'stat' | 'heatmap';
  readonly isStacked?: boolean | undefined;
  /** For ratios: the axis ends here. */
  readonly max?: number | undefined;
  readonly decimals?: number | undefined;
  /** For stats: what is written, the number (default) or the series' name. */
  readonly shows?: 'value' | 'name' | undefined;
}

export interface RowSpec {
  readonly row: string;
}

type Options = Partial<Pick<PanelSpec, 'width' | 'height' | 'thresholds' | 'isStacked' | 'max' | 'decimals'>>;

/** Lines over time. */
export function lines(
  title: string,
  unit: string,
  queries: readonly Query[],
  description: string,
  options: Options = {},
): PanelSpec {
  return { kind: 'timeseries', title, unit, queries, description, width: 12, height: 8, ...options };
}

/** One number, with its recent course behind it. */
export function stat(title: string, unit: string, expr: string, description: string, options: Options = {}): PanelSpec {
  return {
    kind: 'stat',
    title,
    unit,
    queries: [{ expr, legend: title }],
    description,
    width: 4,
    height: 4,
    ...options,
  };
}

/** What each series says of itself: a gauge that is always 1, by its labels. */
export function facts(title: string, query: Query, description: string, options: Options = {}): PanelSpec {
  const queries = [query];
  return { kind: 'stat', title, unit: 'short', queries, description, width: 8, height: 8, shows: 'name', ...options };
}

/** How the observations of a histogram are spread, over time. */
export function heatmap(title: string, metric: string, description: string, options: Options = {}): PanelSpec {
  const expr = `sum by (le) (increase(${metric}_bucket{${HERE}}[$__rate_interval]))`;
  const queries = [{ expr, legend: '{{le}}' }];
  return { kind: 'heatmap', title, unit: 's', queries, description, width: 12, height: 8, ...options };
}

export function row(title: string): RowSpec {
  return { row: title };
}

/** Quantiles of a histogram, one line each (and each value of `by`). */
export function quantiles(metric: string, shares: readonly number[], by?: string, matchers = ''): Query[] {
  const labels = by === undefined ? 'le' : `le, ${by}`;
  return shares.map((share) => ({
    expr: `histogram_quantile(${share}, sum by (${labels}) (rate(${metric}_bucket{${HERE}${matchers}}[$__rate_interval])))`,
    legend: `p${share * 100}${by === undefined ? '' : ` {{${by}}}`}`,
  }));
}

/** Events of a counter a minute, by one label or in all. */
export function perMinute(metric: string, by?: string, matchers = ''): Query {
  const sum = by === undefined ? 'sum' : `sum by (${by})`;
  return {
    expr: `60 * ${sum} (rate(${metric}{${HERE}${matchers}}[$__rate_interval]))`,
    legend: by === undefined ? 'a minute' : `{{${by}}}`,
  };
}

/** Green up to `warn`, then yellow, from `bad` on red. */
export function upTo(warn: number, bad: number): ThresholdStep[] {
  return [
    { value: 0, color: 'green' },
    { value: warn, color: 'yellow' },
    { value: bad, color: 'red' },
  ];
}

/** Red below `warn`, yellow up to `good`, green from there. */
export function atLeast(warn: number, good: number): ThresholdStep[] {
  return [
    { value: 0, color: 'red' },
    { value: warn, color: 'yellow' },
    { value: good, color: 'green' },
  ];
}

/** Puts panels side by side from the left, rows of panels below each other; a panel that does not fit starts a row. */
export function layOut(specs: readonly (PanelSpec | RowSpec)[]): object[] {
  let x = 0;
  let y = 0;
  let rowHeight = 0;
  const newLine = () => {
    x = 0;
    y += rowHeight;
    rowHeight = 0;
  };
  return specs.map((spec, index) => {
    const id = index + 1;
    if ('row' in spec) {
      newLine();
      const gridPos = { x: 0, y, w: COLUMNS, h: 1 };
      y += 1;
      return { id, type: 'row', title: spec.row, collapsed: false, gridPos, panels: [] };
    }
    if (x + spec.width > COLUMNS) newLine();
    const gridPos = { x, y, w: spec.width, h: spec.height };
    x += spec.width;
    rowHeight = Math.max(rowHeight, spec.height);
    return panelOf(spec, id, gridPos);
  });
}

function panelOf(spec: PanelSpec, id: number, gridPos: object): object {
  return {
    id,
    type: spec.kind,
    title: spec.title,
    description: spec.description,
    datasource: DATASOURCE,
    gridPos,
    targets: spec.queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
      editorMode: 'code',
      range: true,
      format: spec.kind === 'heatmap' ? 'heatmap' : 'time_series',
    })),
    fieldConfig: fieldConfigOf(spec),
    options: optionsOf(spec),
  };
}

function fieldConfigOf({ kind, unit, thresholds, isStacked, max, decimals }: PanelSpec): object {
  const steps = thresholds?.map(({ value, color }, index) => ({ color, value: index === 0 ? null : value })) ?? [
    { color: kind === 'stat' ? 'blue' : 'green', value: null },
  ];
  const custom = {
    drawStyle: 'line',
    lineInterpolation: 'linear',
    lineWidth: 1,
    fillOpacity: isStacked ? 30 : 8,
    showPoints: 'never',
    spanNulls: false,
    stacking: { mode: isStacked ? 'normal' : 'none', group: 'A' },
    thresholdsStyle: { mode: thresholds ? 'dashed' : 'off' },
  };
  return {
    defaults: {
      unit,
      min: 0,
      ...(max === undefined ? {} : { max }),
      ...(decimals === undefined ? {} : { decimals }),
      color: { mode: kind === 'stat' ? 'thresholds' : 'palette-classic' },
      thresholds: { mode: 'absolute', steps },
      ...(kind === 'timeseries' ? { custom } : {}),
    },
    overrides: [],
  };
}

function optionsOf({ kind, shows = 'value' }: PanelSpec): object {
  switch (kind) {
    case 'timeseries':
      return {
        legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
        tooltip: { mode: 'multi', sort: 'desc', hideZeros: true },
      };
    case 'stat':
      return {
        reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
        colorMode: 'value',
        graphMode: shows === 'value' ? 'area' : 'none',
        textMode: shows,
        justifyMode: 'auto',
        orientation: 'auto',
      };
    case 'heatmap':
      return {
        calculate: false,
        color: { mode: 'scheme', scheme: 'Oranges', steps: 64, exponent: 0.5, reverse: false },
        cellGap: 1,
        filterValues: { le: 1e-9 },
        rowsFrame: { layout: 'auto' },
        yAxis: { unit: 's', axisPlacement: 'left', reverse: false },
        tooltip: { mode: 'single', yHistogram: true, showColorScale: false },
        legend: { show: true },
        showValue: 'never',
        exemplars: { color: 'rgba(255,0,255,0.7)' },
      };
  }
}
