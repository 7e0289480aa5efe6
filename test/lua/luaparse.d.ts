declare module 'luaparse' {
  /** Parses Lua. @throws Error at the first thing that is not of this version */
  export function parse(code: string, options: { luaVersion: '5.1' | '5.2' | '5.3' | 'LuaJIT' }): unknown;
}
