import { describe, expect, it } from 'vitest';
import { ClientCadence, SILENCE_AFTER_MS } from '../../../src/workers/session/cadence.ts';

/** A client in virtual time, which remembers how long it was quiet and how long it could have been. */
class Client {
  readonly cadence = new ClientCadence();
  nowMs = 10_000;
  /** Of each pause: whether silence went upstream in it. */
  readonly cutAtMs: number[] = [];
  #quietSinceMs: number | undefined;

  /** Records in real time, then posts. */
  record(audioMs: number, postMs = 5): void {
    this.nowMs += audioMs + postMs;
    this.post(audioMs);
  }

  /** Posts what it has at once. */
  post(audioMs: number): void {
    if (this.#quietSinceMs !== undefined && this.nowMs - this.#quietSinceMs > this.cadence.patienceMs) {
      this.cutAtMs.push(this.nowMs);
    }
    this.#quietSinceMs = this.nowMs;
    this.cadence.heard(this.nowMs, audioMs);
  }

  wait(ms: number): void {
    this.nowMs += ms;
  }

  reply(audioMs: number): void {
    for (let left = audioMs; left > 0; left -= 200) this.cadence.replied(this.nowMs, Math.min(200, left));
  }
}

function times(count: number, act: (index: number) => void): void {
  for (let index = 0; index < count; index++) act(index);
}

describe('a client in full duplex', () => {
  it.each([20, 60, 100, 200])('is silent after 300 ms, with chunks of %i ms', (chunkMs) => {
    const client = new Client();
    times(30, () => client.record(chunkMs));
    expect(client.cadence.patienceMs).toBe(SILENCE_AFTER_MS);
  });

  it.each([
    ['and sends what it recorded meanwhile', 10],
    ['and loses what it recorded meanwhile', 0],
  ])('stays so when its network stalls now and then %s', (_, kept) => {
    const client = new Client();
    for (const chunks of [4, 7, 15, 40, 9]) {
      times(chunks, () => client.record(100));
      if (chunks > 4) expect(client.cadence.patienceMs).toBe(SILENCE_AFTER_MS);
      client.wait(2_000);
      times(kept, () => client.post(100));
    }
    times(8, () => client.record(100));
    expect(client.cadence.patienceMs).toBe(SILENCE_AFTER_MS);
  });

  it('stays so when its chunks are put in order', () => {
    const client = new Client();
    times(10, () => {
      client.record(100);
      client.record(100);
      client.cadence.heard(client.nowMs - 100, 100);
    });
    expect(client.cadence.patienceMs).toBe(SILENCE_AFTER_MS);
  });

  it('stays so when it sends while the caller speaks only', () => {
    const client = new Client();
    times(6, (turn) => {
      times(5, () => client.record(100));
      client.reply(2_000);
      client.wait(4_000 + turn * 100);
    });
    expect(client.cadence.patienceMs).toBe(SILENCE_AFTER_MS);
  });

  it('has its chunks joined when they are longer than 300 ms', () => {
    const client = new Client();
    times(20, () => client.record(500, 30));
    expect(client.cutAtMs).toEqual([]);
    expect(client.cadence.patienceMs).toBeLessThan(1_500);
  });
});

describe('a client in half duplex', () => {
  it.each([
    ['every time', 1, 800],
    ['every second time', 2, 800],
    ['every third time', 3, 800],
    ['every fourth time', 4, 800],
    ['every time, for longer', 1, 5_000],
  ])('that polls %s has its chunks joined', (_, every, pollMs) => {
    const client = new Client();
    times(60, (index) => {
      client.record(200);
      if (index % every === every - 1) client.wait(pollMs);
    });
    expect(client.cutAtMs.length).toBeLessThanOrEqual(pollMs > 1_300 ? 1 : 0);
    expect(client.cadence.patienceMs).toBeGreaterThan(pollMs + 400);
    expect(client.cadence.patienceMs).toBeLessThan(2.5 * (pollMs + 300));
  });

  it('that plays each reply before it records again waits for its own pauses, not for those', () => {
    const client = new Client();
    const turn = (replyMs: number) => {
      times(8, () => {
        client.record(200);
        client.wait(800);
      });
      client.record(200);
      client.reply(replyMs);
      client.wait(replyMs + 50);
    };
    client.record(200);
    client.reply(3_000);
    client.wait(3_050);
    for (const replyMs of [2_000, 8_000, 4_000]) turn(replyMs);
    // The replies themselves may have silence: nobody speaks.
    expect(client.cutAtMs).toHaveLength(3);
    expect(client.cadence.patienceMs).toBeGreaterThan(1_500);
    expect(client.cadence.patienceMs).toBeLessThan(2_500);
  });

  it('is joined from its very first pause, before anything is known of it', () => {
    const client = new Client();
    times(3, () => {
      client.record(200);
      client.record(200);
      client.wait(800);
    });
    expect(client.cutAtMs).toEqual([]);
  });

  it('that turns into one in full duplex is taken for that within a dozen chunks', () => {
    const client = new Client();
    times(20, () => {
      client.record(200);
      client.wait(800);
    });
    times(12, () => client.record(100));
    expect(client.cadence.patienceMs).toBe(SILENCE_AFTER_MS);
  });

  it('is not waited for longer than 15 s', () => {
    const client = new Client();
    times(10, () => {
      client.record(200);
      client.wait(30_000);
    });
    expect(client.cadence.patienceMs).toBe(15_000);
  });
});

describe('a client that sends whole utterances', () => {
  it('is silent after 300 ms, from the first on, however the caller is answered', () => {
    const client = new Client();
    times(8, (turn) => {
      client.wait(3_000);
      client.record(2_000);
      expect(client.cadence.patienceMs).toBe(SILENCE_AFTER_MS);
      if (turn % 2 === 0) client.reply(3_000);
    });
  });

  it('may have them split into several frames', () => {
    const client = new Client();
    times(6, () => {
      client.wait(5_000);
      times(4, () => client.cadence.heard(client.nowMs, 500));
      expect(client.cadence.patienceMs).toBe(SILENCE_AFTER_MS);
    });
  });
});

it('takes the time after an interrupted reply for what it is', () => {
  const client = new Client();
  times(4, () => client.record(200));
  client.reply(20_000);
  client.cadence.interrupted(client.nowMs + 100);
  times(12, () => {
    client.record(200);
    client.wait(800);
  });
  expect(client.cadence.patienceMs).toBeGreaterThan(1_500);
  client.reply(300);
  client.wait(500);
  client.record(200);
  expect(client.cadence.patienceMs).toBeLessThan(2_500);
});
