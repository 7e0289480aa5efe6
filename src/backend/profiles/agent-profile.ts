import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { headersProblem } from '../webhooks/headers.ts';
import { isAllowedHost, WEBHOOK_HOST_PATTERN } from '../webhooks/hosts.ts';
import { urlTemplateProblem } from '../webhooks/url.ts';
import { schemaProblem } from './schema-problem.ts';
import { upstreamFields, upstreamProblem } from './upstream-fields.ts';

/** What the upstream takes at most. */
const MAX_TOOLS = 128;
const ToolDescription = Type.String({ maxLength: 1_024 });

const seconds = (maximum: number, description: string) => Type.Integer({ minimum: 1, maximum, description });

const HttpTool = Type.Object(
  {
    type: Type.Literal('webhook'),
    name: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }),
    description: ToolDescription,
    parameters: Type.Record(Type.String(), Type.Unknown(), { description: 'JSON Schema of the arguments' }),
    method: Type.Optional(
      Type.Union([Type.Literal('GET'), Type.Literal('POST'), Type.Literal('PUT'), Type.Literal('DELETE')]),
    ),
    url: Type.String({
      pattern: '^https?://',
      description: 'May hold {{argument}} and {{callId}}-like placeholders behind the host, which are URL-encoded',
    }),
    headers: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        description: `May hold {{callId}}-like placeholders, and environment variables: \${WEBHOOK_NAME}`,
      }),
    ),
    timeoutMs: Type.Optional(
      Type.Integer({ minimum: 100, maximum: 60_000, description: 'For everything, retries included; default 5000' }),
    ),
    retries: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 3,
        description: 'Default 1; only for GET, PUT and DELETE, which may be repeated',
      }),
    ),
  },
  { additionalProperties: false },
);

const TransferTool = Type.Object(
  { type: Type.Literal('transfer_to_extension'), description: Type.Optional(ToolDescription) },
  { additionalProperties: false },
);
const EndCallTool = Type.Object(
  { type: Type.Literal('end_call'), description: Type.Optional(ToolDescription) },
  { additionalProperties: false },
);

/** An agent: what it says, how it listens, what it may do. One JSON file each, or the W3 backend's answer. */
export const AgentProfileSchema = Type.Object(
  {
    instructions: Type.String({
      minLength: 1,
      description:
        'System prompt. {{callerNumber}}, {{did}}, {{storeId}}, {{tenantId}}, {{callId}}, {{aiAgentRef}} and {{now}} are filled in',
    }),
    greeting: Type.Optional(
      Type.Object(
        {
          say: Type.Optional(Type.String({ description: 'Said word for word' })),
          instructions: Type.Optional(Type.String({ description: 'How to greet, in the words of the model' })),
          interruptible: Type.Optional(Type.Boolean({ description: 'Default true' })),
        },
        { additionalProperties: false, description: 'Absent: the agent waits for the caller to speak' },
      ),
    ),
    ...upstreamFields,
    turnDetection: Type.Optional(
      Type.Union([
        Type.Object(
          {
            type: Type.Literal('server_vad'),
            threshold: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
            prefixPaddingMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 5_000 })),
            silenceDurationMs: Type.Optional(Type.Integer({ minimum: 50, maximum: 10_000 })),
          },
          { additionalProperties: false },
        ),
        Type.Object(
          {
            type: Type.Literal('semantic_vad'),
            eagerness: Type.Optional(
              Type.Union([Type.Literal('low'), Type.Literal('medium'), Type.Literal('high'), Type.Literal('auto')]),
            ),
          },
          { additionalProperties: false },
        ),
      ]),
    ),
    minInterruptionMs: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 2_000,
        description: 'Speech shorter than this does not interrupt (echo, coughs); default 0: any speech does',
      }),
    ),
    maxCallSeconds: Type.Optional(seconds(86_400, 'The call is ended after this long; default: no limit')),
    noInput: Type.Optional(
      Type.Object(
        {
          afterSeconds: seconds(600, 'Silence of the caller, counted from the end of the reply'),
          say: Type.String({ minLength: 1 }),
          hangUpAfter: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 10, description: 'Prompts without an answer before hanging up' }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    filler: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'WAV file, relative to the profile, played while the connection to the AI is being restored',
      }),
    ),
    recording: Type.Optional(
      Type.Union(
        [
          Type.Null(),
          Type.Object(
            {
              notice: Type.Optional(
                Type.Union(
                  [
                    Type.Literal('beep'),
                    Type.Object({ say: Type.String({ minLength: 1 }) }, { additionalProperties: false }),
                  ],
                  {
                    description:
                      'How the caller is told: a tone, or a sentence before the greeting; default: not at all',
                  },
                ),
              ),
            },
            { additionalProperties: false },
          ),
        ],
        { description: 'Present: calls are recorded, as they were heard; absent or null: they are not' },
      ),
    ),
    tools: Type.Optional(Type.Array(Type.Union([HttpTool, TransferTool, EndCallTool]), { maxItems: MAX_TOOLS })),
    webhookHosts: Type.Optional(
      Type.Array(Type.String({ pattern: WEBHOOK_HOST_PATTERN }), {
        description: "Hosts that webhooks may call: host (the scheme's own port) or host:port",
      }),
    ),
    transferExtensions: Type.Optional(
      Type.Array(Type.String({ pattern: '^[0-9]{1,20}$' }), {
        description: 'Extensions a call may be transferred to; nothing else is ever dialled',
      }),
    ),
    fallbackExtension: Type.Optional(
      Type.String({ pattern: '^[0-9]{1,20}$', description: 'Where calls go when the AI fails; in transferExtensions' }),
    ),
  },
  { additionalProperties: false },
);
export type AgentProfile = Static<typeof AgentProfileSchema>;
export type ProfileTool = NonNullable<AgentProfile['tools']>[number];
export type WebhookTool = Extract<ProfileTool, { type: 'webhook' }>;

const compiled = Compile(AgentProfileSchema);
const toolChecks = new Map<unknown, ReturnType<typeof Compile>>([
  ['webhook', Compile(HttpTool)],
  ['transfer_to_extension', Compile(TransferTool)],
  ['end_call', Compile(EndCallTool)],
]);

/** A profile that cannot be used. The message says which field is wrong, and where the profile came from. */
export class AgentProfileError extends Error {
  readonly code = 'bad_agent_profile';
  constructor(source: string, problem: string, options?: ErrorOptions) {
    super(`agent profile ${source}: ${problem}`, options);
    this.name = 'AgentProfileError';
  }
}

/**
 * Checks a parsed profile.
 * @param source where it came from, for the error's sentence
 * @throws {AgentProfileError}
 */
export function checkAgentProfile(value: unknown, source: string): AgentProfile {
  if (!compiled.Check(value)) {
    throw new AgentProfileError(source, problemOf(value));
  }
  const profile = value as AgentProfile;
  if (profile.greeting && (profile.greeting.say === undefined) === (profile.greeting.instructions === undefined)) {
    throw new AgentProfileError(source, 'greeting needs either say or instructions');
  }
  const { fallbackExtension: fallback, transferExtensions: allowed = [] } = profile;
  if (fallback !== undefined && !allowed.includes(fallback)) {
    throw new AgentProfileError(source, `fallbackExtension is "${fallback}", but transferExtensions does not have it`);
  }
  const tools = profile.tools ?? [];
  if (tools.some(({ type }) => type === 'transfer_to_extension') && allowed.length === 0) {
    throw new AgentProfileError(source, 'tools has transfer_to_extension, but transferExtensions is empty');
  }
  const names = new Set<string>();
  for (const tool of tools) {
    const name = tool.type === 'webhook' ? tool.name : tool.type;
    if (names.has(name)) throw new AgentProfileError(source, `tools has two tools named ${name}`);
    names.add(name);
    const problem = tool.type === 'webhook' ? webhookProblem(tool, profile.webhookHosts ?? []) : undefined;
    if (problem !== undefined) throw new AgentProfileError(source, `tools.${name} ${problem}`);
  }
  const { toolChoice } = profile;
  const problem =
    typeof toolChoice === 'object' && !names.has(toolChoice.name)
      ? `toolChoice is "${toolChoice.name}", but tools does not have it`
      : upstreamProblem(profile);
  if (problem !== undefined) throw new AgentProfileError(source, problem);
  return profile;
}

function problemOf(value: unknown): string {
  const { tools } = (value ?? {}) as { tools?: unknown };
  // A tool is looked at as what it says it is: against all kinds at once there is more wrong than gets reported.
  for (const [index, tool] of Array.isArray(tools) ? tools.entries() : []) {
    const check = toolChecks.get((tool as { type?: unknown } | null)?.type);
    if (check && !check.Check(tool)) return schemaProblem(check.Errors(tool), `tools.${index}`);
  }
  return schemaProblem(compiled.Errors(value), '');
}

/** Why a webhook could never run, as the end of a sentence; undefined when it can. */
function webhookProblem(tool: WebhookTool, hosts: readonly string[]): string | undefined {
  const badUrl = urlTemplateProblem(tool.url);
  if (badUrl !== undefined) return `has the url "${tool.url}", which ${badUrl}`;
  // Placeholders are behind the host only, so it is the template's whatever they are filled with.
  if (!isAllowedHost(new URL(tool.url.replaceAll(/[{}]/g, '')), hosts)) {
    return `calls "${tool.url}", whose host webhookHosts does not have`;
  }
  const badHeaders = headersProblem(tool.headers ?? {});
  return badHeaders === undefined ? undefined : `headers ${badHeaders}`;
}
