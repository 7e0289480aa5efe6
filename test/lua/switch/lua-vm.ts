import { readFileSync } from 'node:fs';
import { LuaFactory, LuaMultiReturn } from 'wasmoon';
import type { HostFiles } from './host-files.ts';

/** A value that goes to Lua or comes from it as text or a number. */
type Plain = string | number | boolean | undefined;

/** The parts of wasmoon's module that its types leave out. */
interface RawModule {
  readonly HEAPU8: Uint8Array;
  addFunction(fn: (state: number) => number, signature: 'ii'): number;
  _lua_tolstring(state: number, index: number, lengthPointer: number): number;
  _lua_pushlstring(state: number, pointer: number, length: number): number;
  _malloc(bytes: number): number;
  _free(pointer: number): void;
}

/** A Lua state with the stand-in for FreeSWITCH in it. */
export interface LuaVm {
  /** Runs a chunk. @throws Error with Lua's message and traceback */
  run(code: string, name: string): void;
  /** Calls a global function with text and numbers. */
  call(name: string, ...args: Plain[]): unknown;
}

/**
 * Makes a Lua state: 5.4, without what 5.2 lacks, and with `prelude.lua` run. `functions` become globals; strings that
 * hold audio do not pass through JavaScript strings, which would change them, but are copied byte by byte.
 */
export async function createLuaVm(
  files: HostFiles,
  functions: Readonly<Record<string, (...args: never[]) => unknown>>,
  constants: Readonly<Record<string, Plain>> = {},
): Promise<LuaVm> {
  const engine = await new LuaFactory().createEngine({ enableProxy: false });
  const { lua } = engine.global;
  const raw = lua.module as unknown as RawModule;
  const lengthPointer = raw._malloc(8);

  const bytesAt = (state: number, index: number): Uint8Array => {
    const pointer = raw._lua_tolstring(state, index, lengthPointer);
    const length = new DataView(raw.HEAPU8.buffer).getUint32(lengthPointer, true);
    return raw.HEAPU8.subarray(pointer, pointer + length);
  };
  const define = (name: string, body: (state: number) => number) => {
    lua.lua_pushcclosure(engine.global.address, raw.addFunction(body, 'ii'), 0);
    lua.lua_setglobal(engine.global.address, name);
  };
  const failed = (state: number, error: unknown): number => {
    lua.lua_pushnil(state);
    lua.lua_pushstring(state, (error as NodeJS.ErrnoException).code ?? String(error));
    return 2;
  };

  define('host_read', (state) => {
    const fd = lua.lua_tonumberx(state, 1, null);
    const count = lua.lua_tonumberx(state, 2, null);
    const pointer = raw._malloc(Math.max(1, count));
    try {
      const done = files.read(fd, raw.HEAPU8.subarray(pointer, pointer + count));
      if (done === 0 && count > 0) lua.lua_pushnil(state);
      else raw._lua_pushlstring(state, pointer, done);
      return 1;
    } catch (error) {
      return failed(state, error);
    } finally {
      raw._free(pointer);
    }
  });
  define('host_write', (state) => {
    try {
      files.write(lua.lua_tonumberx(state, 1, null), bytesAt(state, 2));
    } catch (error) {
      return failed(state, error);
    }
    lua.lua_pushboolean(state, 1);
    return 1;
  });
  for (const [name, body] of Object.entries(functions)) {
    engine.global.set(name, (...args: never[]) => {
      const result = body(...args);
      return Array.isArray(result) ? LuaMultiReturn.from(result) : result;
    });
  }
  for (const [name, value] of Object.entries(constants)) engine.global.set(name, value);

  const run = (code: string, name: string) => {
    const thread = engine.global.newThread();
    thread.loadString(code, name);
    thread.runSync();
  };
  run(readFileSync(new URL('./prelude.lua', import.meta.url), 'utf8'), '@prelude.lua');
  return { run, call: (name, ...args) => engine.global.call(name, ...args)[0] };
}
