import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'luaparse';
import { beforeAll, describe, expect, it } from 'vitest';
import { aLawFromPcm16, muLawFromPcm16, pcm16FromALaw, pcm16FromMuLaw } from '../../src/audio/g711.ts';
import { HostFiles } from './switch/host-files.ts';
import { createLuaVm, type LuaVm } from './switch/lua-vm.ts';
import { readCurlArguments, splitArguments } from './switch/mod-curl.ts';
import { SCRIPT } from './switch/switch.ts';

const source = readFileSync(SCRIPT, 'utf8');

describe('the script', () => {
  it('is Lua 5.2', () => {
    expect(() => parse(source, { luaVersion: '5.2' })).not.toThrow();
  });

  it('needs nothing that the switch does not have', () => {
    expect(source).not.toMatch(/\brequire\s*[("']/);
    expect(source).not.toMatch(/\bio\.popen\b|\bos\.exit\b|\bstring\.pack\b|\butf8\./);
    expect(source.match(/os\.execute/g)).toHaveLength(1);
  });

  it('has its settings at the top, under the published names', () => {
    const top = source.slice(0, source.indexOf('-- Limits.'));
    for (const name of ['W3_GATEWAY_URL', 'API_KEY', 'TENANT_ID', 'STORE_ID', 'AI_AGENT_REF']) {
      expect(top).toMatch(new RegExp(`^local ${name} = `, 'm'));
    }
    for (const name of ['gateway_url', 'api_key', 'tenant_id', 'store_id', 'agent_ref', 'fallback_extension']) {
      expect(top).toContain(`-- ai_${name}`);
      expect(source).toContain(`"ai_${name}"`);
    }
  });
});

describe('its tools', () => {
  let vm: LuaVm;

  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

  beforeAll(async () => {
    const files = new HostFiles();
    vm = await createLuaVm(files, {
      host_log: () => {},
      host_time: () => '0',
      host_open: (path: string, mode: string) => files.open(path, mode),
      host_seek: (fd: number, position: number) => files.seek(fd, position),
      host_close: (fd: number) => files.close(fd),
    });
    // Everything before the entry, and a way in: bytes travel as hexadecimal digits.
    const code = source.slice(0, source.indexOf('-- Entry:'));
    const doors = `
      local function bytes(hex) return (hex:gsub("..", function(d) return string.char(tonumber(d, 16)) end)) end
      local function digits(text) return (text:gsub(".", function(c) return string.format("%02x", c:byte()) end)) end
      function g711(codec, samples) return digits(g711_encoder(codec)(bytes(samples))) end
      function to_base64(hex) return base64_encoder()(bytes(hex)) end
      function from_base64(text)
        local out = base64_decoder()(text)
        return out and digits(out) or "nothing"
      end
      function cells(path, value)
        local exchange = assert(Exchange.open(path))
        exchange:set(CELL.keys, "before")
        exchange:set(CELL.stop, value)
        exchange:set(CELL.pump, "after")
        exchange:set(CELL.stop, value)
        local found = exchange:get(CELL.keys) .. "|" .. exchange:get(CELL.stop) .. "|" .. exchange:get(CELL.pump)
        exchange:close()
        return found
      end
      function ring(path, pieces)
        local exchange = assert(Exchange.open(path))
        local position = RING.keys.size - 5
        local total = position
        for i = 1, pieces do total = exchange:put(RING.keys, total, string.format("%02d,", i)) end
        local found = exchange:peek(RING.keys, position, exchange:number(CELL.keys) - position)
        exchange:close()
        return found
      end
      function body_of(text) return curl_body(text) end
      function quoted(text) return json_string(text) end
    `;
    vm.run(code + doors, '@ai_http_streaming.lua');
  });

  it.each([
    ['PCMU', muLawFromPcm16, pcm16FromMuLaw],
    ['PCMA', aLawFromPcm16, pcm16FromALaw],
  ] as const)('bring %s back unchanged from the samples that FreeSWITCH decodes it to', (codec, encode, decode) => {
    const codes = Uint8Array.from({ length: 256 }, (_, code) => code);
    const samples = decode(codes);
    const expected = encode(samples);
    expect(vm.call('g711', codec, hex(new Uint8Array(samples.buffer)))).toBe(hex(expected));
    // But for mu-law's second zero, every code is its own.
    expect([...expected].filter((code, i) => code !== i).length).toBeLessThanOrEqual(1);
  });

  it.each([
    ['PCMU', muLawFromPcm16],
    ['PCMA', aLawFromPcm16],
  ] as const)('encode any sample as %s as the gateway does', (codec, encode) => {
    const samples = Int16Array.from({ length: 8192 }, (_, i) => i * 8 - 32768 + (i % 8));
    const codes = String(vm.call('g711', codec, hex(new Uint8Array(samples.buffer))));
    const wrong = [...encode(samples)].findIndex(
      (code, i) => code !== Number.parseInt(codes.slice(2 * i, 2 * i + 2), 16),
    );
    expect(wrong === -1 ? 'none' : samples[wrong]).toBe('none');
  });

  it('write and read base64 of every length', () => {
    for (let length = 0; length < 50; length++) {
      const bytes = Buffer.from(Array.from({ length }, (_, i) => (i * 97 + length * 31) % 256));
      expect(vm.call('to_base64', bytes.toString('hex'))).toBe(bytes.toString('base64'));
      expect(vm.call('from_base64', bytes.toString('base64'))).toBe(bytes.toString('hex'));
    }
  });

  it.each(['A', 'AAA', 'AA*A', 'A=AA', 'AA=A', 'AAAA\n'])('refuse %j as base64', (text) => {
    expect(vm.call('from_base64', text)).toBe('nothing');
  });

  it('bring a body through mod_curl unharmed', () => {
    const text = JSON.stringify({ did: `it's 100 % "C:\\temp" + more`, note: 'tab\tnew\nline é €' });
    const line = `http://gateway/create json post ${String(vm.call('body_of', text))} timeout 2`;
    expect(readCurlArguments(line)).toMatchObject({ method: 'POST', body: text, timeoutMs: 2000 });
  });

  it('keep values and queues of the exchange in their places', () => {
    const folder = mkdtempSync(join(tmpdir(), 'exchange-'));
    const path = join(folder, 'x');
    try {
      writeFileSync(path, '');
      const value = 'fallback because of something\nthat takes long to say, and longer still';
      expect(vm.call('cells', path, value)).toBe('before|fallback because of something t|after');
      expect(vm.call('cells', path, 'ready')).toBe('before|ready|after');
      // Written and read around the end of the ring.
      expect(vm.call('ring', path, 4)).toBe('01,02,03,04,');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('quote text for JSON', () => {
    const text = 'a "quoted" \\ and\ncontrol \x01 é';
    expect(JSON.parse(String(vm.call('quoted', text)))).toBe(text);
  });
});

describe('the stand-in for mod_curl', () => {
  it('takes quotes and backslashes away as the switch does', () => {
    expect(splitArguments(`a 'b c' d\\'e it's`)).toEqual(['a', 'b c', "d'e", "it's"]);
    expect(splitArguments(`{'callId':'1'}`)).toEqual(['{callId:1}']);
  });
});

describe('the dialplan', () => {
  const example = (name: string) =>
    readFileSync(fileURLToPath(new URL(`../../lua/dialplan/${name}`, import.meta.url)), 'utf8');
  const unescaped = (text: string) =>
    text.replaceAll('&quot;', '"').replaceAll('&gt;', '>').replaceAll('&lt;', '<').replaceAll('&amp;', '&');

  it('answers the number with a codec the script can carry', () => {
    const xml = example('ai_voice_agent.xml');
    expect(xml).toMatch(/expression="\^\(5406594427\)\$"/);
    const order = ['absolute_codec_string=PCM', 'application="answer"', 'data="ai_http_streaming.lua"'];
    const places = order.map((piece) => xml.indexOf(piece));
    expect(places.every((place) => place > 0)).toBe(true);
    expect(places).toEqual([...places].sort((a, b) => a - b));
  });

  it('has an example of mod_curl that sends what the gateway takes', () => {
    const line = /application="curl" data="([^"]*)"/.exec(example('curl_example.xml'))![1]!;
    const values: Record<string, string> = { uuid: '1c1a-22', caller_digits: '+393297626144' };
    const argument = unescaped(line)
      .replace(/\$\{(\w+)\}/g, (_, name: string) => values[name] ?? '')
      .replace('$1', '5406594428');
    const request = readCurlArguments(argument);
    expect(request).toMatchObject({ method: 'POST', headers: { 'content-type': 'application/json' } });
    expect(request.url).toMatch(/\/api\/voice\/session\/create$/);
    expect(JSON.parse(request.body)).toEqual({
      callId: '1c1a-22',
      did: '5406594428',
      callerNumber: '+393297626144',
    });
  });

  it('shows why the one-line example of the published page does not work', () => {
    const request = readCurlArguments("http://gateway/api/voice/session/create json {'callId':'1c1a-22'}");
    expect(request).toMatchObject({ method: 'GET', body: '' });
  });
});
