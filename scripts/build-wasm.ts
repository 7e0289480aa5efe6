/**
 * Compiles the resampler's kernel, `assembly/resampler.ts`, to WebAssembly and writes it into
 * `src/audio/kernel-wasm.ts`. That file is committed, so neither building nor running the gateway needs the compiler.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const SOURCE = 'assembly/resampler.ts';
const root = fileURLToPath(new URL('..', import.meta.url));

/** Where the module goes. */
export const KERNEL_MODULE_URL = new URL('../src/audio/kernel-wasm.ts', import.meta.url);

const COMPILER_OPTIONS = [
  // The gateway's code is hot for as long as calls last, and small: speed alone counts.
  ...['--optimizeLevel', '3', '--shrinkLevel', '0', '--converge'],
  ...['--enable', 'simd', '--runtime', 'stub', '--noAssert'],
  // Two pages of 64 KiB, laid out by src/audio/kernel.ts.
  ...['--initialMemory', '2', '--maximumMemory', '2'],
];

/**
 * Compiles the kernel afresh.
 *
 * @throws {Error} with the compiler's messages when the source does not compile.
 */
export async function compileKernel(): Promise<Uint8Array> {
  let bytes: Uint8Array | undefined;
  const { error, stderr } = await asc.main(
    [SOURCE, '--baseDir', root, '--outFile', 'kernel.wasm', ...COMPILER_OPTIONS],
    {
      writeFile: (_name, contents) => {
        bytes = typeof contents === 'string' ? Buffer.from(contents) : contents;
      },
    },
  );
  if (error !== null || bytes === undefined) {
    throw new Error(`${SOURCE} does not compile:\n${stderr.toString()}`, { cause: error });
  }
  return bytes;
}

/** The text of the module that holds a compiled kernel. */
export function renderKernelModule(bytes: Uint8Array): string {
  return `// Generated from ${SOURCE} by \`node scripts/build-wasm.ts\`. Do not edit.

/** The resampler's kernel: a WebAssembly module of ${bytes.length} bytes, in base64. */
export const KERNEL_WASM =
  '${Buffer.from(bytes).toString('base64')}';
`;
}

if (import.meta.main) {
  writeFileSync(KERNEL_MODULE_URL, renderKernelModule(await compileKernel()));
}
