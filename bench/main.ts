#!/usr/bin/env node
/** `npm run bench`: what each part costs, as ratios of one run on one machine. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { Command, Option } from 'commander';
import { checked } from '../loadtest/arguments.ts';
import { parseCount, parseList } from '../loadtest/parse.ts';
import type { Encoding } from '../src/audio/codec.ts';
import { benchBus, busMarkdown } from './bus.ts';
import { benchHops, hopsMarkdown } from './hops.ts';
import { benchHttp, httpMarkdown } from './http.ts';
import { benchPeer, PEER_TITLE } from './peer.ts';
import { benchPool, poolMarkdown } from './pool.ts';
import { benchResampler, resamplerMarkdown } from './resampler.ts';
import { type Section, sectionOf, sectionText, withSection } from './support/page.ts';

const PARTS = ['resampler', 'bus', 'pool', 'http', 'hops'] as const;
type Part = (typeof PARTS)[number];

const FILE = new URL('../docs/benchmarks.md', import.meta.url);

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
  return `${[head, ...parts.map((part) => sectionText(part).trimEnd())].join('\n\n')}\n`;
}

function writtenPage(): string {
  return existsSync(FILE) ? readFileSync(FILE, 'utf8') : '';
}

function writePage(text: string): void {
  mkdirSync(new URL('.', FILE), { recursive: true });
  writeFileSync(FILE, text);
}

interface PeerCli {
  avr: string;
  calls: number[];
  rounds: number;
  seconds: number;
  encoding: Encoding;
  write: boolean;
}

const program = new Command('bench')
  .description('Measures the parts of the gateway against each other and against what they are built on.')
  .addOption(new Option('--only <part...>', 'these parts only').choices([...PARTS]))
  .option('--write', 'write docs/benchmarks.md as well', false)
  .action(async ({ only, write }: { only?: Part[]; write: boolean }) => {
    const text = page(await sections(new Set(only ?? PARTS)));
    process.stdout.write(text);
    if (!write) return;
    // A peer has to be fetched: what was measured beside it stays.
    const peer = sectionOf(writtenPage(), PEER_TITLE);
    writePage(peer === undefined ? text : `${text}\n${peer}`);
  });

const count = checked((text) => parseCount(text));
program
  .command('peer')
  .description('Measures what a call costs us, and what it costs avr-sts-openai, in turns.')
  .requiredOption('--avr <folder>', 'a checkout of avr-sts-openai with its dependencies installed')
  .option('--calls <list>', 'calls at the same time', (text) => parseList(text, count), [50, 200])
  .option('--rounds <number>', 'turns of each', count, 3)
  .option('--seconds <number>', 'measured a turn', count, 30)
  .addOption(
    new Option('--encoding <name>', 'of our calls, at 8 kHz').choices(['pcmu', 'pcma', 'pcm16']).default('pcmu'),
  )
  .option('--write', `write the section "${PEER_TITLE}" of docs/benchmarks.md as well`, false)
  .action(async ({ avr: avrDir, write, ...rest }: PeerCli) => {
    const section = await benchPeer({ ...rest, avrDir, onTurn: (text) => process.stderr.write(`${text}\n`) });
    process.stdout.write(sectionText(section));
    if (write) writePage(withSection(writtenPage(), section));
  });

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
