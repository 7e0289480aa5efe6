/**
 * Writes `grafana/dashboards/*.json` from the descriptions in `scripts/dashboards/`. Change those and run
 * `node scripts/make-dashboards.ts`; what was drawn in Grafana's editor is overwritten.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { calls } from './dashboards/calls.ts';
import { capacity } from './dashboards/capacity.ts';
import { type Dashboard, dashboardJson } from './dashboards/dashboard.ts';
import { pipeline } from './dashboards/pipeline.ts';

const FOLDER = new URL('../grafana/dashboards/', import.meta.url);

/** The dashboards by the names of their files. */
export const DASHBOARDS = { 'calls.json': calls, 'pipeline.json': pipeline, 'capacity.json': capacity } as const;

export function dashboardOf(name: keyof typeof DASHBOARDS): Dashboard {
  return dashboardJson(DASHBOARDS[name]) as Dashboard;
}

/** A dashboard's file, to the last byte. */
export function dashboardFile(name: keyof typeof DASHBOARDS): string {
  const json = JSON.stringify(dashboardJson(DASHBOARDS[name]), null, 2);
  // Lists of words on one line, as the formatter would have them.
  return `${json.replace(/\[\s+("[^"]*"(?:,\s+"[^"]*")*)\s+\]/g, (_, words: string) => `[${words.replace(/,\s+/g, ', ')}]`)}\n`;
}

if (import.meta.main) {
  mkdirSync(FOLDER, { recursive: true });
  for (const name of Object.keys(DASHBOARDS) as (keyof typeof DASHBOARDS)[]) {
    writeFileSync(new URL(name, FOLDER), dashboardFile(name));
  }
}
