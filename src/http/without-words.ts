interface Told {
  readonly transcript: readonly string[];
  readonly actions: readonly unknown[];
  readonly transferReason?: string | undefined;
}

/** What is kept of a call, for a key that may not see what was said. */
export function withoutWords<T extends Told>(told: T): T {
  const { transferReason: _reason, ...rest } = told;
  return {
    ...rest,
    transcript: [],
    actions: told.actions.map((action) => {
      const { arguments: _arguments, ...plain } = action as { readonly arguments?: unknown };
      return plain;
    }),
  } as unknown as T;
}
