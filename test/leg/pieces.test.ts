import { describe, expect, it } from 'vitest';
import { LuaFactory } from 'wasmoon';
import { matchesLuaPattern } from '../../src/leg/call/lua-pattern.ts';
import { MessageReader, parseFields, plainValue } from '../../src/leg/event-socket/message.ts';
import { PacketIntake } from '../../src/leg/media/packet-intake.ts';
import { PacketPlayer } from '../../src/leg/media/packet-player.ts';

const PCMU = { encoding: 'pcmu', sampleRateHz: 8000 } as const;

describe('messages of the event socket', () => {
  const text =
    'Content-Type: command/reply\nReply-Text: +OK\n\n\nContent-Length: 13\nContent-Type: text/event-plain\n\nA: b%20c\n\nx\nyContent-Type: a/b\n\n';

  it('are the same in whatever cut they come', () => {
    const whole = new MessageReader().push(Buffer.from(text));
    expect(whole.map(({ fields }) => fields.get('content-type'))).toEqual(['command/reply', 'text/event-plain', 'a/b']);
    expect(whole[1]!.body).toBe('A: b%20c\n\nx\ny');
    for (let size = 1; size < 40; size++) {
      const reader = new MessageReader();
      const bytes = Buffer.from(text);
      const cut = [];
      for (let at = 0; at < bytes.length; at += size) cut.push(...reader.push(bytes.subarray(at, at + size)));
      expect(cut).toEqual(whole);
    }
  });

  it.each([
    ['HTTP', 'GET / HTTP/1.1\r\nHost: x\r\n'],
    ['a length that is none', 'Content-Length: -1\n\n'],
    ['a length beyond reason', 'Content-Length: 99999999\n\n'],
    ['TLS', '\x16\x03\x01\x02\x00\x01\n'],
    ['a head without an end', 'a'.repeat(300_000)],
  ])('are told from %s', (_name, garbage) => {
    expect(() => new MessageReader().push(Buffer.from(garbage, 'latin1'))).toThrow(
      expect.objectContaining({ code: 'garbage' }),
    );
  });

  it('have their values decoded, and those that cannot be are left as they are', () => {
    const fields = parseFields('A-Name: %C3%9Cnal%2C%20100%25\nB: 100%\nC:\n');
    expect([...fields]).toEqual([
      ['a-name', 'Ünal, 100%'],
      ['b', '100%'],
      ['c', ''],
    ]);
  });

  it('never carry what FreeSWITCH would expand, or what would end a line', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: that is what FreeSWITCH expands
    expect(plainValue('a ${system(rm)} \\n \n\nsendmsg b')).toBe('a system(rm) n  sendmsg b');
  });
});

describe('patterns of Lua', () => {
  it('mean what they mean to the script', async () => {
    const lua = await new LuaFactory().createEngine();
    const match = lua.doStringSync(
      'return function(text, pattern) local ok, found = pcall(string.match, text, pattern) return ok and found ~= nil end',
    ) as (text: string, pattern: string) => boolean;
    const texts = ['', '2', '200', '2000', '20005', '200200', '31415', '39021234567', '112', '0039', '(2(0)0)'];
    const patterns = [
      '^%d%d%d%d?$',
      '^20%d$',
      '^2%d*$',
      '^[2-4]%d+$',
      '^[^2]',
      '2-0',
      '^(2)(0)%2$',
      '^(20).*%1',
      '%f[2]200',
      '^2?0',
      '^%d-5$',
      '[%d]+$',
      '^[]2]',
      '^[2-]',
      '.',
      '^$',
      '%a',
      '%b()',
      '^.%d.$',
      '()0',
      '^%x%x%x$',
      '[%w_]',
      '^%D',
      '200',
    ];
    for (const text of texts) {
      for (const pattern of patterns) {
        expect(matchesLuaPattern(text, pattern), `${text} ${pattern}`).toBe(match(text, pattern));
      }
    }
    lua.global.close();
  });

  it.each(['[', '%', '%b', '%1', '(', '2)', '%f2'])('are refused where they are none: %s', (pattern) => {
    expect(() => matchesLuaPattern('200', pattern)).toThrow(expect.objectContaining({ code: 'bad_variable' }));
  });

  it('end, however they are written', () => {
    expect(() => matchesLuaPattern('2'.repeat(32), `${'2-'.repeat(20)}3`)).toThrow('it takes too long');
  });
});

/** What the AI is given of packets that come at these times, in packets of 20 ms: a digit each, `.` silence. */
function heardOf(arrivals: readonly [atMs: number, digit: number][], untilMs: number): string {
  let heard = '';
  const intake = new PacketIntake({
    sampleRateHz: 8000,
    packetMs: 20,
    take: (audio) => {
      heard += audio[0] === 0 ? '.' : String(audio[0]! - 1);
    },
  });
  for (let nowMs = 0, next = 0; nowMs <= untilMs; nowMs += 5) {
    while (next < arrivals.length && arrivals[next]![0] <= nowMs) {
      intake.receive(new Uint8Array(320).fill(arrivals[next]![1] + 1), arrivals[next]![0]);
      next += 1;
    }
    if (nowMs % 20 === 0) intake.tick(nowMs, 0);
  }
  return heard;
}

describe('packets of the caller', () => {
  const every = (count: number, from = 0, firstMs = 0) =>
    Array.from({ length: count }, (_, i): [number, number] => [firstMs + 20 * i, (from + i) % 10]);

  it('go on as they come', () => {
    expect(heardOf(every(10), 190)).toBe('0123456789');
  });

  it('that are missing are silence of their length', () => {
    const arrivals = every(40).filter((_, i) => i !== 5 && i !== 20 && i !== 21);
    expect(heardOf(arrivals, 790)).toHaveLength(40);
    expect(heardOf(arrivals, 790).replaceAll('.', '')).toHaveLength(37);
  });

  it('that only come late are not taken for missing', () => {
    const arrivals = every(30).map(([atMs, digit], i): [number, number] => [
      atMs + (i === 9 || i === 19 ? 24 : 0),
      digit,
    ]);
    expect(heardOf(arrivals, 590)).not.toContain('.');
  });

  it('that pause are silence for as long, and go on', () => {
    const arrivals = [...every(5), ...every(5, 5, 1100)];
    const heard = heardOf(arrivals, 1400);
    expect(heard.startsWith('01234.')).toBe(true);
    expect(heard.replaceAll('.', '')).toBe('0123456789');
    expect(heard.length).toBeGreaterThan(55);
    expect(heard.length).toBeLessThan(72);
  });

  it('that are none are counted and left out', () => {
    const intake = new PacketIntake({ sampleRateHz: 8000, packetMs: 20, take: () => expect.unreachable() });
    intake.receive(new Uint8Array(0), 0);
    intake.receive(new Uint8Array(5000), 20);
    intake.receive(new Uint8Array(321), 40);
    expect(intake.counts).toMatchObject({ packets: 0, unusable: 3 });
  });
});

function playerOf(packetMs: number, targetMs: number) {
  const sent: { atMs: number; first: number; bytes: Uint8Array }[] = [];
  let nowMs = 0;
  let gaps = 0;
  const player = new PacketPlayer(
    {
      format: PCMU,
      packetMs,
      targetMs,
      send: (bytes) => void sent.push({ atMs: nowMs, first: bytes[0]!, bytes }),
      onSent() {},
      onGap: () => {
        gaps += 1;
      },
    },
    nowMs,
  );
  return {
    player,
    sent,
    gaps: () => gaps,
    /** Lets time pass to `untilMs`, with a look at the clock every `stepMs`. */
    run(untilMs: number, stepMs = 5) {
      for (; nowMs < untilMs; ) {
        nowMs += stepMs;
        if (player.dueMs <= nowMs) player.onTime(nowMs);
      }
    },
  };
}

describe('packets to the caller', () => {
  it.each([10, 20, 30, 60])('go out every %i ms, silence where nothing has come', (packetMs) => {
    const { run, sent } = playerOf(packetMs, 60);
    run(600);
    expect(sent).toHaveLength(600 / packetMs);
    for (const [i, { atMs, bytes }] of sent.entries()) {
      expect(atMs).toBe((i + 1) * packetMs);
      expect(bytes).toEqual(new Uint8Array(packetMs * 8).fill(0xff));
    }
  });

  it('carry everything in its order, however it is cut', () => {
    const { player, run, sent } = playerOf(20, 1_000);
    const speech = Uint8Array.from({ length: 1600 }, (_, i) => i % 250);
    for (let at = 0; at < speech.length; at += 37) player.push(speech.subarray(at, at + 37));
    run(220);
    expect(Buffer.concat(sent.map(({ bytes }) => bytes)).subarray(0, 1600)).toEqual(Buffer.from(speech));
  });

  it('catch up by leaving silence out, never speech', () => {
    const { player, run, sent } = playerOf(20, 60);
    const [silence, speech] = [new Uint8Array(160).fill(0xff), new Uint8Array(160).fill(7)];
    for (let i = 0; i < 20; i++) player.push(i < 10 ? silence : speech);
    run(400);
    expect(sent.filter(({ first }) => first === 7)).toHaveLength(10);
    expect(sent.findIndex(({ first }) => first === 7)).toBeLessThanOrEqual(4);
  });

  it('make up for a short stall at once, and for a long one not all', () => {
    const short = playerOf(20, 60);
    short.run(100);
    short.run(160, 60);
    expect(short.sent).toHaveLength(8);
    const long = playerOf(20, 60);
    long.run(100);
    long.run(1100, 1000);
    expect(long.sent).toHaveLength(5 + 4);
  });

  it('tell of a hole in speech, and of the end', () => {
    const { player, run, sent, gaps } = playerOf(20, 60);
    player.push(new Uint8Array(160).fill(7));
    run(100);
    expect(gaps()).toBe(1);
    player.push(new Uint8Array(200).fill(7));
    let isDrained = false;
    player.drained(() => {
      isDrained = true;
    });
    run(140);
    expect(isDrained).toBe(false);
    run(180);
    expect(isDrained).toBe(true);
    expect(Buffer.concat(sent.map(({ bytes }) => bytes)).filter((byte) => byte === 7)).toHaveLength(360);
  });
});
