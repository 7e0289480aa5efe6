/**
 * Loaded before a peer's own code (`node --import`): its WebSockets to the Realtime API go to the server that
 * `PEER_UPSTREAM_URL` names, so that its files can stay as they are.
 */
import Module from 'node:module';

type WebSocketClass = new (url: string | URL, ...rest: unknown[]) => object;
interface Loader {
  _load(request: string, ...rest: unknown[]): unknown;
}

const upstream = process.env['PEER_UPSTREAM_URL'];
if (upstream === undefined) throw new Error('PEER_UPSTREAM_URL is not set');

function redirected(url: string | URL): string {
  const target = new URL(upstream!);
  target.search = new URL(url).search;
  return target.href;
}

const loader = Module as unknown as Loader;
const load = loader._load;
let replaced: WebSocketClass | undefined;

loader._load = function (this: unknown, request: string, ...rest: unknown[]): unknown {
  const loaded = load.call(this, request, ...rest);
  if (request !== 'ws') return loaded;
  replaced ??= class extends (loaded as WebSocketClass) {
    constructor(url: string | URL, ...more: unknown[]) {
      super(redirected(url), ...more);
    }
  };
  return replaced;
};
