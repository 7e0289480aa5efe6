#!/usr/bin/env node
/** `npm run bench`: what each part costs, as ratios of one run on one machine. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { Command, Option } from 'commander';
import { benchBus, busMarkdown } from './bus.ts';
import { benchHops, hopsMarkdown } from './hops.ts';
import { benchHttp, httpMarkdown } from './http.ts';
import { benchPool, poolMarkdown } from './pool.ts';
import { benchResampler, resamplerMarkdown } from './resampler.ts';

const PARTS = ['resampler', 'bus', 'pool', 'http', 'hops'] as const;
type Part = (typeof PARTS)[number];

const FILE = new URL('../docs/benchmarks.md', import.meta.url);

const program = new Command('bench')
  .description('Measures the parts of the gateway against each other and against what they are built on.')
  .addOption(new Option('--only <part...>', 'these parts only').choices([...PARTS]))
  .option('--write', 'write docs/benchmarks.md as well', false);

interface Section {
  readonly title: string;
  readonly text: string;
  readonly table: string;
}

async function sections(wanted: ReadonlySet<Part>): Promise<Section[]> {
  const found: Section[] = [];
  const add = (title: string, text: string, table: string) => {
    found.push({ title, text, table });
    process.stderr.write(`${title}: done\n`);
  };
  if (wanted.has('resampler')) {
    add(
      'Resampler',
      'Time for a chunk of 100 ms through the streaming interface, and measured quality.',
      resamplerMarkdown(await benchResampler()),
    );
  }
  const needsAll = wanted.has('hops');
  const bus = wanted.has('bus') || needsAll ? await benchBus() : undefined;
  if (bus) {
    add(
      'Bus',
      'Between the main thread and a worker thread. Round trips are made one after the other; of a stream, the time for one item.',
      busMarkdown(bus),
    );
  }
  const pool = wanted.has('pool') || needsAll ? await benchPool() : undefined;
  if (pool) {
    add(
      'Audio pool',
      'Chunks follow each other as fast as they come back. The elapsed time has the pause in which the pool gathers work; the CPU has what it takes to wake the thread after it.',
      poolMarkdown(pool),
    );
  }
  const http = wanted.has('http') || needsAll ? await benchHttp() : undefined;
  if (http) {
    add(
      'HTTP',
      'CPU of the server process, keep-alive. One call that sends its next chunk when the last was answered, so nothing is gathered into batches.',
      httpMarkdown(http),
    );
  }
  if (bus && pool && http && needsAll) {
    add(
      'Hop by hop',
      'Each hop measured alone and with warm code: what it must cost, not what it costs among a hundred calls. The whole gateway above is both sums and what the hops do to each other’s caches.',
      hopsMarkdown(await benchHops(bus, pool, http)),
    );
  }
  return found;
}

function page(parts: readonly Section[]): string {
  const processors = cpus();
  const machine = `${processors[0]?.model.trim() ?? 'unknown CPU'}, ${processors.length} cores, Node ${process.version}`;
  const head = [
    '# Benchmarks',
    '',
    `Made by \`npm run bench -- --write\` on ${new Date().toISOString().slice(0, 10)}: ${machine}.`,
    'Contenders take turns, a round of each; the figures are medians of the rounds. Compare ratios: times belong to this machine and hour.',
  ].join('\n');
  return `${[head, ...parts.map(({ title, text, table }) => `## ${title}\n\n${text}\n\n${table}`)].join('\n\n')}\n`;
}

const { only, write } = program.parse().opts<{ only?: Part[]; write: boolean }>();
const text = page(await sections(new Set(only ?? PARTS)));
process.stdout.write(text);
if (write) {
  mkdirSync(new URL('.', FILE), { recursive: true });
  writeFileSync(FILE, text);
}
