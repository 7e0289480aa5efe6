import type { WebhookTool } from '../profiles/agent-profile.ts';
import { placeholderNames } from '../profiles/placeholders.ts';

/**
 * The arguments that a tool names: in its schema, or as placeholders of its URL. A model can be talked into sending
 * others, which the service might take for its own (`isAdmin`): they go nowhere. A schema with `additionalProperties`
 * (`true`, or a schema) wants them all.
 */
export function declaredArguments(
  { parameters, url }: Pick<WebhookTool, 'parameters' | 'url'>,
  args: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const { properties, additionalProperties } = parameters;
  if (additionalProperties === true || isObject(additionalProperties)) return args;
  const known = new Set([...Object.keys(isObject(properties) ? properties : {}), ...placeholderNames(url)]);
  return Object.fromEntries(Object.entries(args).filter(([name]) => known.has(name)));
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
