import { readdirSync, readFileSync } from 'node:fs';
import { Value } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { DASHBOARDS, dashboardFile } from '../../scripts/make-dashboards.ts';
import type { TestGateway } from '../support/gateway.ts';
import { scrapeAfterCalls, startObserved } from './support/calls.ts';
import { type Dashboard, DashboardSchema, panelsOf } from './support/dashboard-schema.ts';
import { readExposition, type Sample, samplesOf } from './support/exposition.ts';
import { fillTemplates, parseQuery, problemsOf } from './support/promql.ts';
import { HAS_PROMTOOL, promtool } from './support/promtool.ts';

const GRAFANA = new URL('../../grafana/', import.meta.url);

function file(path: string): string {
  return readFileSync(new URL(path, GRAFANA), 'utf8');
}

interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
}

const names = Object.keys(DASHBOARDS) as (keyof typeof DASHBOARDS)[];
const dashboards = names.map((name) => [name, JSON.parse(file(`dashboards/${name}`)) as Dashboard] as const);
const rules = (parseYaml(file('prometheus/rules.yml')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  (group) => group.rules,
);
const alerts = rules.filter(({ alert }) => alert !== undefined);

let gateway: TestGateway;
let samples: Sample[];

beforeAll(async () => {
  gateway = await startObserved();
  samples = samplesOf(readExposition(await scrapeAfterCalls(gateway)));
});
afterAll(() => gateway.stop());

describe('the check itself', () => {
  it('finds what is wrong with a query', () => {
    const problems = (expr: string) => problemsOf(expr, samples);
    expect(() => parseQuery('sum(rate(voice_gateway_sessions_total[1m])')).toThrow('not PromQL');
    expect(problems('voice_gateway_session_total')).toEqual(['voice_gateway_session_total is not exposed']);
    expect(problems('voice_gateway_sessions_total{reason="idle"}')).toContain(
      'voice_gateway_sessions_total has no label reason',
    );
    expect(problems('voice_gateway_sessions_total{outcome=~"idle|lost"}')).toEqual([
      'voice_gateway_sessions_total has nothing with outcome like lost',
    ]);
    expect(problems('sum by (tenant) (voice_gateway_sessions_active)')).toEqual(['nothing summed has a label tenant']);
    expect(problems('sum by (outcome) (rate(voice_gateway_sessions_total{outcome!="idle"}[1m]))')).toEqual([]);
  });
});

describe.each(dashboards)('%s', (name, dashboard) => {
  const numbers = dashboard.templating.list.flatMap((variable) => (variable.type === 'textbox' ? [variable.name] : []));

  it('is what scripts/make-dashboards.ts makes', () => {
    expect(file(`dashboards/${name}`)).toBe(dashboardFile(name));
  });

  it('is a dashboard of the current schema', () => {
    expect(
      [...Value.Errors(DashboardSchema, dashboard)].map(({ instancePath, message }) => `${instancePath} ${message}`),
    ).toEqual([]);
  });

  it('has panels of its own ids that do not overlap or leave the grid', () => {
    const { panels } = dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const taken = new Map<string, string>();
    for (const { title, gridPos } of panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.get(`${x},${y}`), `${title} lies on another panel`).toBeUndefined();
          taken.set(`${x},${y}`, title);
        }
      }
    }
  });

  it('draws heatmaps of buckets and gives each query of a panel a letter of its own', () => {
    for (const { title, type, targets } of panelsOf(dashboard)) {
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
      for (const { expr, format } of targets) {
        expect(format, title).toBe(type === 'heatmap' ? 'heatmap' : 'time_series');
        if (type === 'heatmap') expect(expr, title).toMatch(/^sum by \(le\) \(.*_bucket/);
      }
    }
  });

  it('uses variables that it has', () => {
    const known = new Set(['__rate_interval', ...dashboard.templating.list.map((variable) => variable.name)]);
    for (const { title, targets } of panelsOf(dashboard)) {
      for (const { expr } of targets) {
        for (const [, variable] of expr.matchAll(/\$(\w+)/g)) expect(known, title).toContain(variable);
      }
    }
  });

  it('asks only for series that exist after calls', () => {
    const problems = panelsOf(dashboard).flatMap(({ title, targets }) =>
      targets.flatMap(({ expr }) =>
        problemsOf(fillTemplates(expr, numbers), samples).map((problem) => `${title}: ${problem}`),
      ),
    );
    expect(problems).toEqual([]);
  });

  it('names series by labels that they keep', () => {
    for (const { title, targets, type } of panelsOf(dashboard)) {
      for (const { expr, legendFormat } of targets) {
        const kept = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(/,\s*/));
        for (const [, label] of legendFormat.matchAll(/{{(\w+)}}/g)) {
          expect(kept, `${title} (${type})`).toContain(label);
        }
      }
    }
  });
});

describe('rules', () => {
  const records = new Map(
    rules.flatMap(({ record }) => (record === undefined ? [] : [[record, ['instance']] as const])),
  );

  it('ask only for series that exist after calls, or that other rules make', () => {
    const problems = rules.flatMap(({ alert, record, expr }) =>
      problemsOf(expr, samples, records).map((problem) => `${alert ?? record}: ${problem}`),
    );
    expect(problems).toEqual([]);
  });

  it('name records by their level, metric and operation', () => {
    for (const record of records.keys()) expect(record).toMatch(/^instance:voice_gateway_[a-z_]+:[a-z0-9_]+$/);
  });

  it('tell for each alert how bad it is, what it means, and which section of the docs says what to do', () => {
    expect(alerts.length).toBeGreaterThan(10);
    const docs = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
    const anchors = new Set(
      [...docs.matchAll(/^#+ (.+)$/gm)].map(([, title]) => title!.toLowerCase().replaceAll(' ', '-')),
    );
    for (const { alert, labels, annotations } of alerts) {
      expect(['page', 'ticket'], alert).toContain(labels?.['severity']);
      expect(annotations?.['summary'], alert).toContain('{{ $labels.instance }}');
      expect(annotations?.['description']?.length, alert).toBeGreaterThan(20);
      const [path, anchor] = annotations?.['runbook']?.split('#') ?? [];
      expect(path, alert).toBe('docs/operations.md');
      expect(anchor, alert).toBe(alert!.toLowerCase());
      expect(anchors, alert).toContain(anchor);
    }
  });

  it.skipIf(!HAS_PROMTOOL)('pass promtool, and fire when they should', () => {
    const cwd = new URL('prometheus/', GRAFANA).pathname;
    const check = promtool(['check', 'rules', 'rules.yml'], '', cwd);
    expect(check.status, check.output).toBe(0);
    const test = promtool(['test', 'rules', 'rules.test.yml'], '', cwd);
    expect(test.status, test.output).toBe(0);
  });

  it('have a test for every alert', () => {
    const { tests } = parseYaml(file('prometheus/rules.test.yml')) as {
      tests: { alert_rule_test?: { alertname: string; exp_alerts?: unknown[] }[] }[];
    };
    const fired = tests.flatMap(({ alert_rule_test: cases = [] }) =>
      cases.filter(({ exp_alerts: expected = [] }) => expected.length > 0).map(({ alertname }) => alertname),
    );
    expect([...new Set(fired)].sort()).toEqual(alerts.map(({ alert }) => alert).sort());
  });
});

describe('provisioning', () => {
  it('gives the datasource the uid that the dashboards name, and finds every dashboard', () => {
    const { datasources } = parseYaml(file('provisioning/datasources/prometheus.yml'));
    expect(datasources).toMatchObject([{ type: 'prometheus', uid: 'voice-gateway-prometheus', isDefault: true }]);
    const { providers } = parseYaml(file('provisioning/dashboards/voice-gateway.yml'));
    expect(providers).toMatchObject([{ type: 'file', options: { path: '/etc/grafana/voice-gateway' } }]);
    expect(readdirSync(new URL('dashboards/', GRAFANA)).sort()).toEqual(names.toSorted());
  });

  it('has Prometheus scrape as often as Grafana thinks it does', () => {
    const prometheus = parseYaml(file('prometheus/prometheus.yml'));
    const [{ jsonData }] = parseYaml(file('provisioning/datasources/prometheus.yml')).datasources;
    expect(jsonData.timeInterval).toBe(prometheus.global.scrape_interval);
    expect(prometheus.rule_files).toEqual(['rules.yml']);
    expect(prometheus.scrape_configs[0].job_name).toBe('voice-gateway');
  });
});
