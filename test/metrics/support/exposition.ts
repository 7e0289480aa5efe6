/** One series of a scrape. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: readonly Sample[];
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)/y;

/**
 * Reads the classic Prometheus text format, strictly: a line that does not belong there is an error.
 * @throws {Error} naming the line
 */
export function readExposition(text: string): Map<string, Family> {
  const families = new Map<string, { name: string; help: string; type: string; samples: Sample[] }>();
  let family: { name: string; help: string; type: string; samples: Sample[] } | undefined;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (keyword === 'HELP') {
      if (families.has(name)) throw new Error(`a second family ${name}`);
      family = { name, help: rest, type: 'untyped', samples: [] };
      families.set(name, family);
    } else if (keyword === 'TYPE') {
      if (family?.name !== name) throw new Error(`a type without help: ${line}`);
      family.type = rest;
    } else {
      const sample = readSample(line);
      if (!family || !belongs(sample.name, family)) throw new Error(`a sample outside its family: ${line}`);
      family.samples.push(sample);
    }
  }
  return families;
}

function readSample(line: string): Sample {
  const [, name, labelText = '', value] = SAMPLE.exec(line) ?? [];
  if (name === undefined || value === undefined) throw new Error(`not the classic text format: ${line}`);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  for (let at = 0; at < labelText.length; at = LABEL.lastIndex) {
    const match = LABEL.exec(labelText);
    if (!match) throw new Error(`bad labels: ${line}`);
    labels[match[1]!] = match[2]!;
  }
  return { name, labels, value: value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value) };
}

function belongs(name: string, { name: family, type }: Family): boolean {
  if (type !== 'histogram' && type !== 'summary') return name === family;
  return [`${family}_bucket`, `${family}_sum`, `${family}_count`, ...(type === 'summary' ? [family] : [])].includes(
    name,
  );
}

/** All series of all families. */
export function samplesOf(families: ReadonlyMap<string, Family>): Sample[] {
  return [...families.values()].flatMap(({ samples }) => samples);
}
