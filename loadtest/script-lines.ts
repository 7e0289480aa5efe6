import { readFileSync } from 'node:fs';

/** The part of the fixtures' manifest and script that says who says what. */
interface Manifest {
  readonly agentLines: Readonly<Record<string, { readonly text: string }>>;
  readonly calls: Readonly<
    Record<
      string,
      { readonly utterances: readonly { readonly text: string }[]; readonly expectReplies: readonly string[] }
    >
  >;
}
interface Script {
  readonly greeting: string;
  readonly noInput: readonly string[];
}

/** What is said in a call of the collection. */
export interface ExpectedLines {
  /** What the caller says, in order. */
  readonly user: readonly string[];
  /** What the agent says, in order, the greeting first. */
  readonly agent: readonly string[];
  /** What the agent may say at any time. */
  readonly anytime: readonly string[];
}

/**
 * What the scripted agent is expected to say to each recording of a fixtures folder, by the recording's name.
 * @throws {Error} when the folder has no manifest or script
 */
export function expectedLines(fixturesDir: URL): ReadonlyMap<string, ExpectedLines> {
  const manifest = readJson<Manifest>(new URL('manifest.json', fixturesDir));
  const script = readJson<Script>(new URL('agent/script.json', fixturesDir));
  const textOf = (id: string) => manifest.agentLines[id]!.text;
  return new Map(
    Object.entries(manifest.calls).map(([name, { utterances, expectReplies }]) => [
      name,
      {
        user: utterances.map(({ text }) => text),
        agent: [script.greeting, ...expectReplies].map(textOf),
        anytime: script.noInput.map(textOf),
      },
    ]),
  );
}

function readJson<Value>(url: URL): Value {
  return JSON.parse(readFileSync(url, 'utf8')) as Value;
}

/** What was wrong with the lines of one call. */
export interface LineFaults {
  /** Expected and not said. */
  missing: string[];
  /** Said, but only in another recording's call. */
  foreign: string[];
  /** Said by nobody in any recording. */
  unknown: string[];
}

/**
 * Compares a call's transcript lines with what was to be said. A reply that was interrupted may stop anywhere; a line may
 * hold several of the script's.
 * @param lines as the gateway gives them: `[User]: …` and `[AI]: …`
 * @param everything all recordings' lines, to tell another call's line from nonsense
 */
export function checkLines(
  lines: readonly string[],
  expected: ExpectedLines,
  everything: Iterable<ExpectedLines>,
): LineFaults {
  const faults: LineFaults = { missing: [], foreign: [], unknown: [] };
  const elsewhere = [...everything].flatMap(({ user, agent }) => [...user, ...agent]).map(plain);
  const anytime = expected.anytime.map(plain);
  const sides = {
    '[User]: ': expected.user.map(plain),
    '[AI]: ': expected.agent.map(plain),
  };
  for (const line of lines) {
    const side = line.startsWith('[User]: ') ? '[User]: ' : '[AI]: ';
    const said = plain(line.slice(side.length));
    if (anytime.includes(said)) continue;
    const taken = leading(sides[side], said);
    if (taken > 0) sides[side] = sides[side].slice(taken);
    else if (elsewhere.some((other) => said === other || said.startsWith(`${other} `))) faults.foreign.push(line);
    else faults.unknown.push(line);
  }
  faults.missing.push(...sides['[User]: '], ...sides['[AI]: ']);
  return faults;
}

/** How many of the lines are said, the last one perhaps not to its end; 0: it is something else. */
function leading(lines: readonly string[], said: string): number {
  let joined = '';
  for (const [index, line] of lines.entries()) {
    joined = joined === '' ? line : `${joined} ${line}`;
    if (joined === said || (said !== '' && joined.startsWith(`${said} `))) return index + 1;
    if (!said.startsWith(`${joined} `)) return 0;
  }
  return 0;
}

/** Words only: what is compared is what was said, not how it is written. */
function plain(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}
