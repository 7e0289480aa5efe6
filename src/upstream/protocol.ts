/** The protocols in which an AI is spoken to, each with what the names of its models begin with. */
export const PROTOCOLS = {
  realtime: { modelPrefix: '' },
} as const satisfies Record<string, { readonly modelPrefix: string }>;

export type Protocol = keyof typeof PROTOCOLS;

/** Every protocol, the one that is meant where a model's name says nothing first. */
export const PROTOCOL_NAMES = Object.keys(PROTOCOLS) as readonly Protocol[];

/** The protocol that an agent profile asks for, or else the one its model is known to speak. */
export function protocolOf({ upstream }: { readonly upstream?: Protocol }, model: string): Protocol {
  return upstream ?? PROTOCOL_NAMES.findLast((name) => model.startsWith(PROTOCOLS[name].modelPrefix)) ?? 'realtime';
}
