import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { appOverRecorder } from './support.ts';

describe('validation', () => {
  let server: Awaited<ReturnType<typeof appOverRecorder>>;
  beforeAll(async () => {
    server = await appOverRecorder();
  });
  afterAll(() => server.close());
  beforeEach(() => {
    const { creates, chunks, consumed, reports, polls, callIds } = server.seen;
    for (const list of [creates, chunks, consumed, reports, polls, callIds]) list.length = 0;
  });

  async function send(method: 'GET' | 'POST', url: string, body?: unknown, headers: Record<string, string> = {}) {
    const answer = await server.app.inject({
      method,
      url,
      headers,
      ...(body === undefined ? {} : { payload: body as object | string }),
    });
    return { status: answer.statusCode, body: JSON.parse(answer.body), headers: answer.headers };
  }
  const create = (body: unknown, headers = {}) => send('POST', '/api/voice/session/create', body, headers);
  const stream = (body: unknown, query = '', headers = {}) =>
    send('POST', `/api/voice/stream/call-1${query}`, body, headers);
  const poll = (query: string) => send('GET', `/api/voice/stream/call-1/response${query}`);
  const json = { 'content-type': 'application/json' };

  describe('create', () => {
    it('takes the call alone, and everything', async () => {
      expect((await create({ callId: 'x' })).status).toBe(200);
      const full = {
        callId: 'a-Z0.9_~@:+=*!-',
        tenantId: '00000000-0000-0000-0000-000000000001',
        storeId: '50000000-0000-0000-0000-000000000010',
        did: '5406594427',
        callerNumber: '393297626144',
        aiAgentRef: 'customer-care-voice',
        encoding: 'pcm16',
        sampleRate: 48_000,
      };
      expect((await create(full)).status).toBe(200);
      expect(server.seen.creates.map(({ body }) => body)).toEqual([{ callId: 'x' }, full]);
    });

    it('does not mind fields it does not know', async () => {
      expect((await create({ callId: 'x', somethingNew: { deep: [1] } })).status).toBe(200);
    });

    it.each([
      [{}, 'callId is missing from the body'],
      [{ callId: '' }, 'callId is "", but must be text that matches '],
      [{ callId: 'two words' }, 'callId is "two words", but must be text that matches '],
      [{ callId: 'ümlaut' }, 'callId is "ümlaut", but must be text that matches '],
      [{ callId: '-dash' }, 'callId is "-dash", but must be text that matches '],
      [{ callId: 'a/b' }, 'callId is "a/b", but must be text that matches '],
      [{ callId: 'line\n' }, 'callId is "line\\n", but must be text that matches '],
      [{ callId: 'x'.repeat(129) }, 'callId is "xxxx'],
      [{ callId: 7 }, 'callId is 7, but must be a string'],
      [{ callId: null }, 'callId is null, but must be a string'],
      [{ callId: ['x'] }, 'callId is ["x"], but must be a string'],
      [{ callId: 'x', tenantId: 'a b' }, 'tenantId is "a b", but must be text that matches '],
      [{ callId: 'x', tenantId: '' }, 'tenantId is "", but must be text that matches '],
      [{ callId: 'x', aiAgentRef: '../etc/passwd' }, 'aiAgentRef is "../etc/passwd", but must be text that matches '],
      [{ callId: 'x', storeId: 's'.repeat(257) }, 'storeId is "ssss'],
      [{ callId: 'x', did: 5406594427 }, 'did is 5406594427, but must be a string'],
      [{ callId: 'x', callerNumber: 'n'.repeat(65) }, 'callerNumber is "nnnn'],
      [{ callId: 'x', encoding: 'mp3' }, 'encoding is "mp3", but must be one of "pcm16", "pcmu", "pcma"'],
      [{ callId: 'x', encoding: 16 }, 'encoding is 16, but must be one of "pcm16", "pcmu", "pcma"'],
      [{ callId: 'x', sampleRate: 44_100 }, 'sampleRate is 44100, but must be one of 8000, 16000, 24000, 48000'],
      [{ callId: 'x', sampleRate: '16000' }, 'sampleRate is "16000", but must be one of 8000, 16000, 24000, 48000'],
    ])('refuses %j', async (body, sentence) => {
      const { status, body: answer } = await create(body);
      expect(status).toBe(400);
      expect(answer.code).toBe('invalid_field');
      expect(answer.error).toContain(sentence);
      expect(answer.error.length).toBeLessThan(300);
      expect(server.seen.creates).toEqual([]);
    });

    it('says how long a text may be', async () => {
      const { body } = await create({ callId: 'x', did: '0'.repeat(100) });
      expect(body.error).toMatch(/^did is "0+…, but must be at most 64 characters long$/);
    });

    it.each([
      ['', 'the body is empty, but must be JSON', 'invalid_json'],
      ['{"callId":', 'the body is not valid JSON', 'invalid_json'],
      ['{"__proto__":{},"callId":"x"}', 'the body is not valid JSON', 'invalid_json'],
      ['{"constructor":{"prototype":{}},"callId":"x"}', 'the body is not valid JSON', 'invalid_json'],
      ['null', 'the body is missing, but must be a JSON object', 'invalid_field'],
      ['[]', 'the body is [], but must be a JSON object', 'invalid_field'],
      ['"text"', 'the body is "text", but must be a JSON object', 'invalid_field'],
    ])('refuses the body %s', async (body, sentence, code) => {
      const { status, body: answer } = await create(body, json);
      expect(status).toBe(400);
      expect(answer).toMatchObject({ error: sentence, code });
    });

    it('says that there is no body when there is none', async () => {
      const { status, body } = await create(undefined);
      expect(status).toBe(400);
      expect(body.error).toBe('the body is missing, but must be a JSON object');
    });
  });

  describe('poll', () => {
    it('waits 5000 ms unless told', async () => {
      await poll('');
      await poll('?timeout=0');
      await poll('?timeout=60000');
      expect(server.seen.polls.map(({ timeoutMs }) => timeoutMs)).toEqual([5000, 0, 60_000]);
    });

    it('reads what it is told', async () => {
      await poll('?timeout=1&ack=-1&maxMs=240&playedMs=12.5&generation=3&unknown=x');
      expect(server.seen.polls[0]?.query).toMatchObject({ ack: -1, maxMs: 240, playedMs: 12.5, generation: 3 });
      expect(server.seen.reports[0]).toMatchObject({ ack: -1, playedMs: 12.5, generation: 3 });
    });

    it.each([
      ['timeout=60001', 'timeout is 60001, but must be a whole number from 0 to 60000'],
      ['timeout=-1', 'timeout is -1, but must be a whole number from 0 to 60000'],
      ['timeout=1.5', 'timeout is 1.5, but must be a whole number from 0 to 60000'],
      ['timeout=', 'timeout is "", but must be a whole number from 0 to 60000'],
      ['timeout=abc', 'timeout is "abc", but must be a whole number from 0 to 60000'],
      ['timeout=1e3', 'timeout is "1e3", but must be a whole number from 0 to 60000'],
      ['timeout=0x10', 'timeout is "0x10", but must be a whole number from 0 to 60000'],
      ['timeout=%2010', 'timeout is " 10", but must be a whole number from 0 to 60000'],
      ['timeout=true', 'timeout is "true", but must be a whole number from 0 to 60000'],
      ['timeout=Infinity', 'timeout is "Infinity", but must be a whole number from 0 to 60000'],
      ['timeout=1&timeout=2', 'timeout is ["1","2"], but must be a whole number from 0 to 60000'],
      ['ack=-2', 'ack is -2, but must be a whole number from -1 to 9007199254740991'],
      ['ack=x', 'ack is "x", but must be a whole number from -1'],
      ['maxMs=0', 'maxMs is 0, but must be a whole number from 1 to 600000'],
      ['playedMs=-1', 'playedMs is -1, but must be a number from 0 to 86400000'],
      ['generation=-1', 'generation is -1, but must be a whole number from 0'],
    ])('refuses ?%s', async (query, sentence) => {
      const { status, body } = await poll(`?${query}`);
      expect(status).toBe(400);
      expect(body.code).toBe('invalid_field');
      expect(body.error).toContain(sentence);
      expect(server.seen.polls).toEqual([]);
    });
  });

  describe('stream', () => {
    it('passes audio, number and keys on', async () => {
      expect((await stream({ audio: 'AAAA', chunkSeq: 7, dtmf: '12#' })).body).toEqual({
        status: 'streamed',
        generation: 0,
      });
      expect(server.seen.chunks[0]).toMatchObject({ audio: { data: 'AAAA' }, chunkSeq: 7, dtmf: '12#' });
    });

    it('takes the number of a JSON chunk from the header too', async () => {
      await stream({ audio: 'AAAA' }, '', { 'x-chunk-seq': '4' });
      expect(server.seen.chunks[0]?.chunkSeq).toBe(4);
    });

    it('takes what the caller heard from the body and from the query', async () => {
      await stream({ audio: 'AAAA', playedMs: 5, generation: 1 });
      await stream({ audio: 'AAAA', playedMs: 5, generation: 1 }, '?playedMs=9&generation=2&ack=3');
      expect(server.seen.reports).toEqual([
        { ack: undefined, playedMs: 5, generation: 1 },
        { ack: 3, playedMs: 9, generation: 2 },
      ]);
    });

    it.each([
      [{}, 'audio is missing from the body'],
      [{ audio: null }, 'audio is null, but must be a string'],
      [{ audio: 7 }, 'audio is 7, but must be a string'],
      [{ audio: ['AAAA'] }, 'audio is ["AAAA"], but must be a string'],
    ])('calls the audio of %j invalid', async (body, sentence) => {
      const { status, body: answer } = await stream(body);
      expect(status).toBe(400);
      expect(answer).toMatchObject({ error: sentence, code: 'invalid_audio', status: 'invalid_audio' });
    });

    it.each([
      [{ audio: 'AAAA', chunkSeq: -1 }, '', 'chunkSeq is -1, but must be a whole number from 0 to 2147483647'],
      [{ audio: 'AAAA', chunkSeq: 1.5 }, '', 'chunkSeq is 1.5, but must be a whole number from 0 to 2147483647'],
      [{ audio: 'AAAA', chunkSeq: 1e300 }, '', 'chunkSeq is 1e+300, but must be a whole number from 0 to 2147483647'],
      [{ audio: 'AAAA', chunkSeq: '0' }, '', 'chunkSeq is "0", but must be a whole number from 0 to 2147483647'],
      [{ dtmf: '' }, '', 'dtmf is "", but must be text that matches ^[0-9A-Da-d*#]{1,64}$'],
      [{ dtmf: '12x' }, '', 'dtmf is "12x", but must be text that matches ^[0-9A-Da-d*#]{1,64}$'],
      [{ dtmf: 5 }, '', 'dtmf is 5, but must be a string'],
      [{ audio: 'AAAA', playedMs: 'x' }, '', 'playedMs is "x", but must be a number from 0 to 86400000'],
      [{ audio: 'AAAA' }, '?poll=2', 'poll is 2, but must be one of 0, 1'],
      [{ audio: 'AAAA' }, '?poll=true', 'poll is "true", but must be one of 0, 1'],
      [{ audio: 'AAAA' }, '?maxMs=x', 'maxMs is "x", but must be a whole number from 1 to 600000'],
    ])('refuses %j %s', async (body, query, sentence) => {
      const { status, body: answer } = await stream(body, query);
      expect(status).toBe(400);
      expect(answer).toMatchObject({ error: sentence, code: 'invalid_field' });
      expect(server.seen.chunks).toEqual([]);
    });

    it('uses up the number of a chunk that it refuses with 400', async () => {
      await stream({ chunkSeq: 3 });
      await stream({ audio: 5, chunkSeq: 4 });
      await stream({ audio: 'AAAA', chunkSeq: 5 }, '?poll=x');
      await stream({ audio: 5 }, '', { 'x-chunk-seq': '6' });
      await stream({ audio: 5, chunkSeq: -1 });
      await stream({ audio: 5, chunkSeq: 1e300 });
      await stream({ audio: 5 }, '', { 'x-chunk-seq': '99999999999' });
      expect(server.seen.consumed).toEqual([3, 4, 5, 6]);
    });

    it('says first that it does not know the call', async () => {
      const { status, body } = await send('POST', '/api/voice/stream/other', { audio: 5 });
      expect(status).toBe(404);
      expect(body).toMatchObject({ status: 'session_not_found', code: 'session_not_found', hasMore: false });
    });

    it('refuses a bad number in the header', async () => {
      const { status, body } = await stream(Buffer.alloc(2), '', {
        'content-type': 'audio/pcm',
        'x-chunk-seq': 'first',
      });
      expect(status).toBe(400);
      expect(body.error).toBe('x-chunk-seq is "first", but must be a whole number from 0 to 2147483647');
    });
  });

  describe('paths', () => {
    it.each([
      ['call-1', 'call-1'],
      ['call%2D1', 'call-1'],
      ['%63all-1', 'call-1'],
    ])('decodes %s', async (path, callId) => {
      expect((await send('GET', `/api/voice/session/${path}`)).status).toBe(200);
      expect(server.seen.callIds).toEqual([callId]);
    });

    it.each(['a%2Fb', '%00', '%F0%9F%98%80', 'a%0d%0aX:%20y', 'x'.repeat(5000), '..%2f..', '%25'])(
      'does not know the call %s',
      async (path) => {
        const { status, body } = await send('GET', `/api/voice/session/${path}`);
        expect(status).toBe(404);
        expect(body.code).toBe('session_not_found');
        expect(body.error).toMatch(/^callId is "/);
        expect(body.error.length).toBeLessThan(200);
      },
    );

    it.each(['%zz', '%', '%E0%A4%A'])('refuses %s, which is no URL', async (path) => {
      const { status, body, headers } = await send('GET', `/api/voice/session/${path}`);
      expect(status).toBe(400);
      expect(body).toEqual({
        error: `the path is "/api/voice/session/${path}", which is no valid URL`,
        code: 'bad_request',
        requestId: expect.any(String),
      });
      expect(headers['content-type']).toContain('application/json');
    });
  });
});
