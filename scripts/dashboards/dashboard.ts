import { DATASOURCE, layOut, type PanelSpec, type RowSpec } from './panels.ts';

/** The last version of the classic schema; later Grafana versions read it as it is. */
const SCHEMA_VERSION = 42;

/** A number the reader sets, such as a price. */
export interface NumberVariable {
  readonly name: string;
  readonly label: string;
  readonly value: number;
}

export interface DashboardSpec {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly panels: readonly (PanelSpec | RowSpec)[];
  readonly numbers?: readonly NumberVariable[];
}

/** The JSON that Grafana's provisioning reads. */
export function dashboardJson({ uid, title, description, panels, numbers = [] }: DashboardSpec): object {
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
    templating: { list: [instanceVariable(), ...numbers.map(numberVariable)] },
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

function numberVariable({ name, label, value }: NumberVariable): object {
  const text = String(value);
  return { name, label, type: 'textbox', query: text, current: { text, value: text }, options: [] };
}
