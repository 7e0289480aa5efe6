import { request } from 'undici';

/** An answer of the gateway. */
export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
  readonly body: any;
}

/** One HTTP request; objects are sent as JSON. */
export async function http(
  method: string,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const isRaw = typeof body === 'string' || body instanceof Uint8Array;
  const answer = await request(url, {
    method: method as 'GET',
    headers: { ...(body !== undefined && !isRaw ? { 'content-type': 'application/json' } : {}), ...headers },
    body: body === undefined ? null : isRaw ? (body as string | Buffer) : JSON.stringify(body),
  });
  const text = await answer.body.text();
  return {
    status: answer.statusCode,
    headers: answer.headers,
    body: /json/.test(String(answer.headers['content-type'])) ? JSON.parse(text) : text,
  };
}

/** A client of one call. */
export class TestCall {
  readonly base: string;
  readonly callId: string;
  readonly headers: Record<string, string>;
  readonly heard: Buffer[] = [];
  /** Bytes of audio by the generation of the answer they came in. */
  readonly heardBytes = new Map<number, number>();
  readonly lines: string[] = [];
  readonly actions: { id: string; type: string; extension?: string; reason?: string }[] = [];
  generation = 0;
  seq = -1;
  hasMore = true;
  endReason: string | undefined;

  constructor(base: string, callId: string, headers: Record<string, string> = {}) {
    this.base = base;
    this.callId = callId;
    this.headers = headers;
  }

  create(body: object = {}): Promise<Answer> {
    return http('POST', `${this.base}/api/voice/session/create`, { callId: this.callId, ...body }, this.headers);
  }

  /** Sends samples, or whatever body is given. */
  send(audio: Buffer | object, query = ''): Promise<Answer> {
    const body = Buffer.isBuffer(audio) ? { audio: audio.toString('base64') } : audio;
    return http('POST', `${this.base}/api/voice/stream/${this.callId}${query}`, body, this.headers);
  }

  /** Polls and keeps what came. `query` without the question mark. */
  async poll(query = 'timeout=2000'): Promise<Answer> {
    const answer = await http(
      'GET',
      `${this.base}/api/voice/stream/${this.callId}/response?${query}`,
      undefined,
      this.headers,
    );
    if (answer.status === 200) this.take(answer.body);
    return answer;
  }

  // biome-ignore lint/suspicious/noExplicitAny: a poll's or a stream's answer
  take(body: any): void {
    if (body.audio) {
      const audio = Buffer.from(body.audio, 'base64');
      this.heard.push(audio);
      this.heardBytes.set(body.generation, (this.heardBytes.get(body.generation) ?? 0) + audio.length);
    }
    if (body.transcript) this.lines.push(...body.transcript.split('\n'));
    if (body.actions) this.actions.push(...body.actions);
    this.generation = body.generation ?? this.generation;
    this.seq = body.seq ?? this.seq;
    this.hasMore = body.hasMore ?? this.hasMore;
    this.endReason = body.endReason ?? this.endReason;
  }

  /** Polls until `done` says so; fails after `limit` polls. */
  async pollUntil(done: (call: TestCall) => boolean, query = 'timeout=1000', limit = 60): Promise<void> {
    for (let i = 0; i < limit; i++) {
      if (done(this)) return;
      await this.poll(query);
    }
    if (!done(this)) throw new Error(`not reached after ${limit} polls; lines so far: ${JSON.stringify(this.lines)}`);
  }

  end(): Promise<Answer> {
    return http('POST', `${this.base}/api/voice/session/${this.callId}/end`, undefined, this.headers);
  }

  info(): Promise<Answer> {
    return http('GET', `${this.base}/api/voice/session/${this.callId}`, undefined, this.headers);
  }
}
