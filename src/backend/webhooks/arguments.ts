import type { WebhookTool } from '../profiles/agent-profile.ts';

/**
 * The arguments that a tool's schema knows. A model can be talked into sending others, which the service might take for
 * its own (`isAdmin`): they go nowhere. A schema with `additionalProperties` (`true`, or a schema) wants them all.
 */
export function declaredArguments(
  { parameters }: Pick<WebhookTool, 'parameters'>,
  args: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const { properties, additionalProperties } = parameters;
  if (additionalProperties === true || isObject(additionalProperties)) return args;
  const known = isObject(properties) ? properties : {};
  return Object.fromEntries(Object.entries(args).filter(([name]) => Object.hasOwn(known, name)));
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
