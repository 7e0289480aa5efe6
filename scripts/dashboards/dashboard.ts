import { DATASOURCE, layOut, type PanelSpec, type RowSpec } from './panels.ts';

/** The last version of the classic schema; later Grafana versions read it as it is. */
const SCHEMA_VERSION = 42;

export interface DashboardSpec {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly panels: readonly (PanelSpec | RowSpec)[];
}

/** The JSON that Grafana's provisioning reads. */
export function dashboardJson({ uid, title, description, panels }: DashboardSpec): object {
  return {
    uid,
    title,
    description,
    tags: ['voice-gateway'],
    schemaVersion: SCHEMA_VERSION,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '10s',
    timezone: 'browser',
    time: { from: 'now-1h', to: 'now' },
    annotations: { list: [] },
    links: [
      {
        title: 'Voice gateway',
        type: 'dashboards',
        tags: ['voice-gateway'],
        asDropdown: false,
        includeVars: true,
        keepTime: true,
        icon: 'external link',
      },
    ],
    templating: { list: [instanceVariable()] },
    panels: layOut(panels),
  };
}

function instanceVariable(): object {
  const query = 'label_values(voice_gateway_info, instance)';
  return {
    name: 'instance',
    label: 'Gateway',
    type: 'query',
    datasource: DATASOURCE,
    definition: query,
    query: { query, refId: 'instance' },
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { text: ['All'], value: ['$__all'] },
  };
}

/** A panel of a dashboard's JSON, as far as it is read here. */
export interface Panel {
  readonly id: number;
  readonly type: 'timeseries' | 'stat' | 'heatmap' | 'row';
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly { readonly refId: string; readonly expr: string; readonly legendFormat: string }[];
  readonly fieldConfig: {
    readonly defaults: {
      readonly unit: string;
      readonly decimals?: number;
      readonly thresholds: { readonly steps: readonly { readonly color: string; readonly value: number | null }[] };
      readonly custom?: { readonly stacking: { readonly mode: string } };
    };
  };
  readonly options?: { readonly textMode?: string };
}

/** A dashboard's JSON, as far as it is read here. */
export interface Dashboard {
  readonly title: string;
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly query: unknown }[];
  };
  readonly panels: readonly Panel[];
}

export function panelsWithQueries({ panels }: Dashboard): Panel[] {
  return panels.filter(({ type }) => type !== 'row');
}
