import type { FastifyInstance } from 'fastify';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** A route that is there to say 405. */
    isRefusal?: boolean;
  }
}

/** Knows which methods each path has, so that a wrong method is told from a wrong path. */
export class AllowedMethods {
  readonly #byPattern = new Map<string, { readonly path: RegExp; readonly methods: Set<string> }>();

  /** Learns the routes that are registered from now on. */
  observe(app: FastifyInstance): void {
    app.addHook('onRoute', ({ url, method, config }) => {
      if (config?.isRefusal) return;
      const known = this.#byPattern.get(url) ?? { path: patternOf(url), methods: new Set<string>() };
      for (const name of Array.isArray(method) ? method : [method]) known.methods.add(name);
      this.#byPattern.set(url, known);
    });
  }

  /** Methods of a path, sorted; none when there is no such path. A path that is itself a route's is no other's. */
  of(path: string): string[] {
    const exact = this.#byPattern.get(path);
    if (exact) return [...exact.methods].sort();
    const methods = new Set<string>();
    for (const route of this.#byPattern.values()) {
      if (route.path.test(path)) for (const method of route.methods) methods.add(method);
    }
    return [...methods].sort();
  }
}

function patternOf(url: string): RegExp {
  const pattern = url
    .split('/')
    .map((part) => (part.startsWith(':') ? '[^/]+' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace('\\*', '.*')))
    .join('/');
  return new RegExp(`^${pattern}$`);
}
