import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const page = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
const LEAVES = new Set(['clock.ts', 'backoff.ts']);

/** Every source with the sources it imports, by path from the root. */
const imports = new Map(
  readdirSync(join(ROOT, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length))
    .map((file) => {
      const text = readFileSync(join(ROOT, file), 'utf8');
      const found = [...text.matchAll(/^(?:import|export)(?! type)[^;]*? from '(\.[^']+)';|import\('(\.[^']+)'\)/gm)];
      const types = [...text.matchAll(/^(?:import|export) type[^;]*? from '(\.[^']+)';/gm)];
      const toPath = (path: string) => normalize(join(dirname(file), path));
      return [
        file,
        { values: found.map((m) => toPath(m[1] ?? m[2]!)), types: types.map((m) => toPath(m[1]!)) },
      ] as const;
    }),
);

const roomOf = (file: string) => file.split(sep)[1]!;

it('names files that exist', () => {
  const named = [...page.matchAll(/`(src\/[\w./-]+\.ts)`/g)].map(([, file]) => file!);
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
});

it('has every room in its table, and imports that go where the table says', () => {
  const rows = [...page.matchAll(/^\| `(\w+)` \|.*\|(.*)\|$/gm)].map(
    ([, room, uses]) => [room!, [...uses!.matchAll(/`(\w+)`/g)].map(([, name]) => name!)] as const,
  );
  const allowed = new Map(rows);
  const rooms = new Set([...imports.keys()].map(roomOf).filter((room) => !LEAVES.has(room)));
  expect([...allowed.keys()].sort()).toEqual([...rooms].sort());
  const against: string[] = [];
  const used = new Map<string, Set<string>>();
  for (const [file, { values, types }] of imports) {
    const room = roomOf(file);
    for (const other of [...values, ...types].map(roomOf)) {
      if (other === room || LEAVES.has(other)) continue;
      used.set(room, (used.get(room) ?? new Set()).add(other));
      if (room !== 'main' && !allowed.get(room)?.includes(other)) against.push(`${file} uses ${other}`);
    }
  }
  expect(against).toEqual([]);
  // What is allowed and not used any more leaves the table.
  for (const [room, names] of allowed)
    for (const name of names) expect(used.get(room), `${room} → ${name}`).toContain(name);
});

it('reaches a protocol of the AI in one place', () => {
  const users = [...imports].filter(
    ([file, { values, types }]) =>
      // The probe is about one protocol, and no call's.
      !['realtime', 'probe'].includes(roomOf(file)) &&
      [...values, ...types].some((used) => roomOf(used) === 'realtime'),
  );
  expect(users.map(([file]) => file)).toEqual(['src/workers/session/protocols.ts']);
});

it('keeps the daemon itself small: what has another home is there', () => {
  const lines = [...imports.keys()]
    .filter((file) => roomOf(file) === 'main')
    .map((file) => readFileSync(join(ROOT, file), 'utf8').split('\n').length - 1);
  expect(lines.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(1_600);
});

it('has no circle of files that need each other to run', () => {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]) => {
    if (path.includes(file)) {
      circles.push([...path.slice(path.indexOf(file)), file].join(' → '));
      return;
    }
    if (done.has(file)) return;
    for (const next of imports.get(file)?.values ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of imports.keys()) visit(file, []);
  expect(circles).toEqual([]);
});

it('has a console that takes nothing of the daemon but types', () => {
  const taken = readdirSync(join(ROOT, 'console'), { recursive: true, withFileTypes: true })
    .filter((entry) => /\.tsx?$/.test(entry.name))
    .flatMap(({ parentPath, name }) =>
      [
        ...readFileSync(join(parentPath, name), 'utf8').matchAll(
          /^(?:import|export)(?! type)[^;]*? from '[./]+(src\/[^']+)';/gm,
        ),
      ].map(([, file]) => file!),
    );
  expect([...new Set(taken)]).toEqual([]);
});
