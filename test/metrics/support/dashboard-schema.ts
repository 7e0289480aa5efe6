import { type Static, Type } from 'typebox';

/** What matters of Grafana's classic dashboard schema, in its last version. */

const DATASOURCE_UID = 'voice-gateway-prometheus';

const strict = { additionalProperties: false } as const;

const GridPos = Type.Object(
  {
    x: Type.Integer({ minimum: 0, maximum: 23 }),
    y: Type.Integer({ minimum: 0 }),
    w: Type.Integer({ minimum: 1, maximum: 24 }),
    h: Type.Integer({ minimum: 1 }),
  },
  strict,
);

const Datasource = Type.Object({ type: Type.Literal('prometheus'), uid: Type.Literal(DATASOURCE_UID) }, strict);

const Target = Type.Object(
  {
    refId: Type.String({ pattern: '^[A-Z]$' }),
    datasource: Datasource,
    expr: Type.String({ minLength: 1 }),
    legendFormat: Type.String({ minLength: 1 }),
    editorMode: Type.Literal('code'),
    range: Type.Literal(true),
    format: Type.Union([Type.Literal('time_series'), Type.Literal('heatmap')]),
  },
  strict,
);

const UNITS = ['s', 'short', 'percentunit', 'bytes', 'reqps', 'currencyUSD'];

const Panel = Type.Object(
  {
    id: Type.Integer({ minimum: 1 }),
    type: Type.Union([Type.Literal('timeseries'), Type.Literal('stat'), Type.Literal('heatmap')]),
    title: Type.String({ minLength: 1 }),
    description: Type.String({ minLength: 10 }),
    datasource: Datasource,
    gridPos: GridPos,
    targets: Type.Array(Target, { minItems: 1 }),
    fieldConfig: Type.Object(
      {
        defaults: Type.Object({
          unit: Type.Union(UNITS.map((unit) => Type.Literal(unit))),
          thresholds: Type.Object({
            mode: Type.Literal('absolute'),
            steps: Type.Array(Type.Object({ color: Type.String(), value: Type.Union([Type.Null(), Type.Number()]) }), {
              minItems: 1,
            }),
          }),
        }),
        overrides: Type.Array(Type.Unknown()),
      },
      strict,
    ),
    options: Type.Object({}),
  },
  strict,
);

const Row = Type.Object(
  {
    id: Type.Integer({ minimum: 1 }),
    type: Type.Literal('row'),
    title: Type.String({ minLength: 1 }),
    collapsed: Type.Literal(false),
    gridPos: GridPos,
    panels: Type.Array(Type.Unknown(), { maxItems: 0 }),
  },
  strict,
);

const Variable = Type.Union([
  Type.Object({
    name: Type.String(),
    type: Type.Literal('query'),
    datasource: Datasource,
    query: Type.Object({ query: Type.String(), refId: Type.String() }),
    refresh: Type.Literal(2),
    includeAll: Type.Boolean(),
    multi: Type.Boolean(),
    current: Type.Object({ text: Type.Array(Type.String()), value: Type.Array(Type.String()) }),
  }),
  Type.Object({
    name: Type.String(),
    type: Type.Literal('textbox'),
    query: Type.String({ pattern: '^[0-9.]+$' }),
    current: Type.Object({ text: Type.String(), value: Type.String() }),
  }),
]);

export const DashboardSchema = Type.Object(
  {
    uid: Type.String({ pattern: '^[a-z-]{1,40}$' }),
    title: Type.String({ minLength: 1 }),
    description: Type.String({ minLength: 1 }),
    tags: Type.Array(Type.String(), { minItems: 1 }),
    schemaVersion: Type.Literal(42),
    version: Type.Integer(),
    editable: Type.Boolean(),
    graphTooltip: Type.Integer({ minimum: 0, maximum: 2 }),
    refresh: Type.String(),
    timezone: Type.Literal('browser'),
    time: Type.Object({ from: Type.String(), to: Type.String() }, strict),
    annotations: Type.Object({ list: Type.Array(Type.Unknown()) }, strict),
    links: Type.Array(Type.Object({ title: Type.String(), type: Type.Literal('dashboards') })),
    templating: Type.Object({ list: Type.Array(Variable) }, strict),
    panels: Type.Array(Type.Union([Panel, Row]), { minItems: 1 }),
  },
  strict,
);

export type Dashboard = Static<typeof DashboardSchema>;
export type DashboardPanel = Static<typeof Panel>;

/** The panels that show something. */
export function panelsOf({ panels }: Dashboard): DashboardPanel[] {
  return panels.filter((panel): panel is DashboardPanel => panel.type !== 'row');
}
