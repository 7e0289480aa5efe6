import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import fastifyPlugin from 'fastify-plugin';

/** The OpenAPI document made from the routes' schemas (`/docs/json`), and a page to read and try it (`/docs`). */
export const docsPlugin = fastifyPlugin<{ version: string }>(async (app, { version }) => {
  app.addHook('onRoute', (route) => {
    if (route.url.startsWith('/docs')) route.config = { ...route.config, public: true };
  });
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
  await app.register(fastifySwaggerUi, { routePrefix: '/docs' });
});
