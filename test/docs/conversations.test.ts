import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { AgentProfileSchema, checkAgentProfile } from '../../src/backend/profiles/agent-profile.ts';
import { conversationSettings } from '../../src/call/settings.ts';

const url = new URL('../../docs/conversations.md', import.meta.url);
const page = readFileSync(url, 'utf8');
const rows = page
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );

interface Schema {
  readonly type?: string;
  readonly const?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Record<string, Schema>;
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
}

/** Every field of a schema with its path: those of objects, of alternatives, and of the items of lists. */
function* fieldsOf(schema: Schema, path: string): Generator<[string, Schema]> {
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    yield [path + name, field];
    yield* fieldsOf(field, `${path}${name}.`);
  }
  for (const alternative of schema.anyOf ?? []) yield* fieldsOf(alternative, path);
  // Tools have a table of their own.
  if (schema.items) yield* fieldsOf(schema.items, '');
}

const fields = new Map(fieldsOf(AgentProfileSchema as unknown as Schema, ''));
const rowOf = (field: string) => rows.find(([name]) => name === `\`${field}\``);

describe('the page on conversations', () => {
  it('sees the whole schema', () => {
    expect([...fields.keys()]).toEqual(
      expect.arrayContaining(['instructions', 'greeting.interruptible', 'turnDetection.eagerness', 'retries']),
    );
    expect(fields.size).toBeGreaterThan(35);
  });

  it.each([...fields.keys()])('has the field %s', (field) => {
    const row = rowOf(field);
    expect(row).toHaveLength(4);
    expect(row![2]).not.toBe('');
  });

  it.each([...fields].filter(([, { minimum }]) => minimum !== undefined))('has the range of %s', (field, schema) => {
    expect(rowOf(field)![2]).toBe(`${schema.minimum}–${schema.maximum}`);
  });

  it.each([...fields].filter(([, { anyOf }]) => anyOf?.some((one) => one.const !== undefined)))(
    'has the choices of %s',
    (field, schema) => {
      for (const { const: choice } of schema.anyOf ?? []) {
        if (choice !== undefined) expect(rowOf(field)![2]).toContain(`\`${choice}\``);
      }
    },
  );

  it('has the defaults that calls are configured with', () => {
    const values = { callId: 'c', tenantId: 't', aiAgentRef: 'a' };
    const of = (profile: object) =>
      conversationSettings({ instructions: 'Answer.', ...profile }, 'model', 'audio/pcm', values);
    const plain = of({});
    const { turnDetection: byMeaning } = of({ turnDetection: { type: 'semantic_vad' } });
    const defaults = {
      voice: plain.voice,
      speed: plain.speed,
      'transcription.model': plain.transcription?.model,
      noiseReduction: plain.noiseReduction?.type,
      toolChoice: plain.toolChoice,
      maxOutputTokens: plain.maxOutputTokens,
      turnDetection: plain.turnDetection.type,
      ...Object.fromEntries(
        Object.entries({ ...plain.turnDetection, ...byMeaning })
          .filter(([name]) => name !== 'type')
          .map(([name, value]) => [`turnDetection.${name}`, value]),
      ),
    };
    expect(Object.keys(defaults)).toHaveLength(11);
    for (const [field, value] of Object.entries(defaults)) expect(rowOf(field)![1], field).toBe(`\`${value}\``);
  });

  it('shows a profile that can be used', () => {
    const [, example] = /```json\n([\s\S]+?)```/.exec(page)!;
    expect(checkAgentProfile(JSON.parse(example!), 'of the page')).toHaveProperty('tools');
  });

  it('links only to files that exist', () => {
    const links = [...page.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link]) => link!);
    expect(links.length).toBeGreaterThan(0);
    for (const link of links) expect(existsSync(fileURLToPath(new URL(link, url))), link).toBe(true);
  });

  it('is found from the README and the API page', () => {
    for (const file of ['../../README.md', '../../docs/api.md']) {
      expect(readFileSync(new URL(file, import.meta.url), 'utf8')).toContain('conversations.md');
    }
  });
});
