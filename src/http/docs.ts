import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import fastify from 'fastify';
import fastifyPlugin from 'fastify-plugin';

/** Where the page is, and what it loads. */
const PATHS = [
  '/docs',
  '/docs/',
  '/docs/static/swagger-initializer.js',
  '/docs/static/swagger-ui-bundle.js',
  '/docs/static/swagger-ui-standalone-preset.js',
  '/docs/static/swagger-ui.css',
  '/docs/static/index.css',
  '/docs/static/favicon-16x16.png',
  '/docs/static/favicon-32x32.png',
] as const;

interface File {
  readonly type: string;
  readonly content: Buffer;
}

/**
 * The OpenAPI document made from the routes' schemas (`/docs/json`), and a page to read and try it (`/docs`). Everybody
 * may ask for them, so they are made once and then answered from memory, without a file or a serialisation.
 */
export const docsPlugin = fastifyPlugin<{ version: string }>(async (app, { version }) => {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'W3 Voice Gateway',
        version,
        description: 'Phone calls over plain HTTP: create a session, POST the caller, poll for the reply.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/', description: 'This gateway' }],
      tags: [
        { name: 'Calls', description: 'Create, look at and end sessions' },
        { name: 'Audio', description: 'The caller up, the reply down' },
        { name: 'History', description: 'Calls that are over' },
        { name: 'Console', description: 'Signing in' },
        { name: 'Operations', description: 'For load balancers and Prometheus' },
      ],
      components: {
        securitySchemes: {
          apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
          bearer: { type: 'http', scheme: 'bearer' },
        },
      },
      security: [{ apiKey: [] }, { bearer: [] }],
    },
  });
  const route = { config: { public: true, anyOrigin: true }, schema: { hide: true } };
  // Made before anybody connects: it takes a tenth of a second.
  let document = Buffer.alloc(0);
  app.addHook('onReady', async () => {
    document = Buffer.from(JSON.stringify(app.swagger()));
  });
  app.get('/docs/json', route, async (_request, reply): Promise<Buffer> => {
    reply.type('application/json; charset=utf-8');
    return document;
  });
  let files: Promise<ReadonlyMap<string, File>> | undefined;
  for (const path of PATHS) {
    app.get(path, route, async (_request, reply): Promise<Buffer> => {
      files ??= render().catch((error) => {
        files = undefined;
        throw error;
      });
      const { type, content } = (await files).get(path)!;
      reply.type(type);
      return content;
    });
  }
});

/** Asks an app of its own for all that there is. */
async function render(): Promise<ReadonlyMap<string, File>> {
  const inner = fastify();
  try {
    await inner.register(fastifySwagger, { openapi: {} });
    await inner.register(fastifySwaggerUi, { routePrefix: '/docs' });
    const files = new Map<string, File>();
    for (const path of PATHS) {
      const { statusCode, headers, rawPayload } = await inner.inject(path);
      if (statusCode !== 200) throw new Error(`${path} of the documentation cannot be made: ${statusCode}`);
      files.set(path, { type: String(headers['content-type']), content: rawPayload });
    }
    return files;
  } finally {
    await inner.close();
  }
}
