import { Pool } from 'undici';
import { FuzzInputs, type FuzzRequest } from './inputs.ts';

export interface FuzzReport {
  readonly inputs: number;
  /** Answers by status. */
  readonly statuses: Record<number, number>;
  /** What must not happen: requests with an answer of 500 or above, save those that refuse for want of room. */
  readonly failures: { request: string; status: number; body: string }[];
}

/** Refusals that are no defect: a call's buffer is full, or it cannot start. */
const ALLOWED_CODES = new Set(['upstream_busy', 'gateway_full', 'overloaded']);
const CONCURRENCY = 16;

/**
 * Throws `count` requests at a gateway, the same ones for the same seed.
 * @param callIds calls that exist
 */
export async function fuzz(
  url: string,
  callIds: readonly string[],
  count: number,
  seed: number,
  onProgress: (done: number) => void = () => {},
): Promise<FuzzReport> {
  const inputs = new FuzzInputs(seed, callIds);
  const pool = new Pool(url, { connections: CONCURRENCY });
  const statuses: Record<number, number> = {};
  const failures: FuzzReport['failures'] = [];
  let done = 0;
  const worker = async () => {
    while (done < count) {
      done += 1;
      const request = inputs.next();
      const { status, body } = await send(pool, request);
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (status >= 500 && !ALLOWED_CODES.has(codeOf(body))) {
        failures.push({ request: describe(request), status, body: body.slice(0, 300) });
      }
      onProgress(done);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  await pool.close();
  return { inputs: done, statuses, failures };
}

async function send(pool: Pool, { method, path, headers, body }: FuzzRequest) {
  const answer = await pool.request({ method: method as 'GET', path, headers, body: body ?? null });
  return { status: answer.statusCode, body: await answer.body.text() };
}

function codeOf(body: string): string {
  try {
    return String((JSON.parse(body) as { code?: unknown }).code);
  } catch {
    return '';
  }
}

function describe({ method, path, headers, body }: FuzzRequest): string {
  return `${method} ${path} ${JSON.stringify(headers)} ${body?.toString('base64').slice(0, 600) ?? ''}`;
}
