const PLACEHOLDER = /\{\{\s*([A-Za-z0-9_.-]+)\s*\}\}/g;

/** Replaces every `{{name}}` once; what is filled in is not looked at again. */
export function replacePlaceholders(template: string, lookUp: (name: string) => string): string {
  return template.replace(PLACEHOLDER, (_whole, name: string) => lookUp(name));
}

/** The names of the placeholders in a template, each once, in order. */
export function placeholderNames(template: string): string[] {
  return [...new Set(Array.from(template.matchAll(PLACEHOLDER), (match) => match[1] as string))];
}
