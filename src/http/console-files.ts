import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyPluginAsync } from 'fastify';
import { ApiError } from './errors.ts';
import { PAGE_HEADERS } from './security-headers.ts';

/** Where the build puts it, seen from the sources as from what is built of them. */
const FOLDER = fileURLToPath(new URL('../../dist/console', import.meta.url));
/** Their names change with their content. */
const ASSETS = join('/', 'assets', '/');

export interface ConsoleFilesOptions {
  /** Default: where the build puts it. */
  readonly folder?: string | undefined;
}

/** The console's page and what it loads. There is nothing secret in it, and links to it may be anywhere. */
export const consoleFiles: FastifyPluginAsync<ConsoleFilesOptions> = async (app, { folder = FOLDER }) => {
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, public: true, anyOrigin: true };
  });
  const schema = { hide: true };
  app.get('/console', { schema }, async (_request, reply) => reply.redirect('/console/', 308));
  if (!existsSync(join(folder, 'index.html'))) {
    app.get('/console/*', { schema }, async () => {
      throw new ApiError('not_found', 'the console is not built: run `npm run build`, then start the gateway again');
    });
    return;
  }
  await app.register(fastifyStatic, {
    root: folder,
    prefix: '/console/',
    cacheControl: false,
    setHeaders: (reply, path) => {
      const isAsset = path.slice(folder.length).startsWith(ASSETS);
      reply.headers({ ...PAGE_HEADERS, 'cache-control': isAsset ? 'public, max-age=31536000, immutable' : 'no-cache' });
    },
  });
};
