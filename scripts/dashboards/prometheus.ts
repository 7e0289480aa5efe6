import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** One series over time: `[seconds since 1970, value]`. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly points: readonly (readonly [number, number])[];
}

export interface RuleState {
  readonly name: string;
  /** `recording` or `alerting`. */
  readonly type: string;
  readonly health: string;
  readonly lastError?: string;
  readonly state?: string;
}

const START_TIMEOUT_MS = 20_000;
const RULES = fileURLToPath(new URL('../../grafana/prometheus/rules.yml', import.meta.url));

/** A Prometheus of its own that scrapes one gateway, with the rules that ship. Whoever starts it stops it. */
export class Prometheus {
  readonly #child: ChildProcess;
  readonly #url: string;
  readonly #folder: string;

  private constructor(child: ChildProcess, url: string, folder: string) {
    this.#child = child;
    this.#url = url;
    this.#folder = folder;
  }

  /**
   * @param target where the gateway listens, `http://127.0.0.1:3105`
   * @throws {Error} when `prometheus` is not installed or does not start
   */
  static async start(target: string, scrapeSeconds: number): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'prometheus-'));
    copyFileSync(RULES, join(folder, 'rules.yml'));
    writeFileSync(
      join(folder, 'prometheus.yml'),
      JSON.stringify({
        global: { scrape_interval: `${scrapeSeconds}s`, evaluation_interval: `${scrapeSeconds}s` },
        rule_files: ['rules.yml'],
        scrape_configs: [{ job_name: 'voice-gateway', static_configs: [{ targets: [new URL(target).host] }] }],
      }),
    );
    const address = `127.0.0.1:${await freePort()}`;
    const args = [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
      '--log.level=error',
    ];
    const child = spawn('prometheus', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    await once(child, 'spawn');
    const prometheus = new Prometheus(child, `http://${address}`, folder);
    try {
      await prometheus.#untilReady();
    } catch (error) {
      await prometheus.stop();
      throw error;
    }
    return prometheus;
  }

  /** @throws {Error} with Prometheus's own words when it refuses the query */
  async queryRange(expr: string, fromMs: number, toMs: number, stepSeconds: number): Promise<Series[]> {
    const parameters = { query: expr, start: fromMs / 1000, end: toMs / 1000, step: stepSeconds };
    const { result } = await this.#api<{ result: { metric: Record<string, string>; values: [number, string][] }[] }>(
      'query_range',
      parameters,
    );
    return result.map(({ metric, values }) => ({
      labels: metric,
      points: values.map(([atSeconds, value]) => [atSeconds, Number(value)] as const),
    }));
  }

  async rules(): Promise<RuleState[]> {
    const { groups } = await this.#api<{ groups: { rules: RuleState[] }[] }>('rules', {});
    return groups.flatMap(({ rules }) => rules);
  }

  /** Ends the process and removes what it stored. Idempotent. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      await exited;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #api<Data>(what: string, parameters: Readonly<Record<string, string | number>>): Promise<Data> {
    const query = new URLSearchParams(Object.entries(parameters).map(([name, value]) => [name, String(value)]));
    const answer = await fetch(`${this.#url}/api/v1/${what}?${query}`);
    const body = (await answer.json()) as { status: string; error?: string; data: Data };
    if (body.status !== 'success') throw new Error(body.error ?? `HTTP ${answer.status}`);
    return body.data;
  }

  async #untilReady(): Promise<void> {
    const endsAtMs = Date.now() + START_TIMEOUT_MS;
    while (Date.now() < endsAtMs && this.#child.exitCode === null) {
      const answer = await fetch(`${this.#url}/-/ready`).catch(() => undefined);
      if (answer?.ok) return;
      await sleep(100);
    }
    throw new Error('prometheus did not become ready');
  }
}

/** A port that was free a moment ago: Prometheus does not tell which one it took. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
