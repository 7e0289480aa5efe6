import { type WebSocket, WebSocketServer } from 'ws';

// biome-ignore lint/suspicious/noExplicitAny: events as they come, and as tests make them
type Event = { type: string; [field: string]: any };

/** A Realtime server that opens sessions and does nothing else but what a test has it do. Whoever starts it closes it. */
export class ScriptedUpstream {
  /** What clients sent, audio left out. */
  readonly received: Event[] = [];
  /** Called with each of them. */
  onEvent: (event: Event) => void = () => {};
  /** Answers `session.update`; replaced by tests that do something else. */
  onSessionUpdate: () => void = () => this.send({ type: 'session.updated', session: { id: 'sess_1' } });
  connections = 0;
  readonly #server: WebSocketServer;
  #socket: WebSocket | undefined;

  private constructor(server: WebSocketServer) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.#socket = socket;
      this.connections += 1;
      socket.on('error', () => {});
      this.send({ type: 'session.created', session: { id: 'sess_1' } });
      socket.on('message', (data) => {
        const event = JSON.parse(String(data)) as Event;
        if (event.type === 'input_audio_buffer.append') return;
        this.received.push(event);
        if (event.type === 'session.update' && event['event_id'] === 'session-config') this.onSessionUpdate();
        else this.onEvent(event);
      });
    });
  }

  static async listen(): Promise<ScriptedUpstream> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    await new Promise((resolve) => server.once('listening', resolve));
    return new ScriptedUpstream(server);
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  of(type: string): Event[] {
    return this.received.filter((event) => event.type === type);
  }

  send(event: Event): void {
    this.sendText(JSON.stringify(event));
  }

  sendText(text: string): void {
    this.#socket?.send(text);
  }

  /** A whole turn of the caller. */
  turn(itemId: string): void {
    this.send({ type: 'input_audio_buffer.speech_started', item_id: itemId });
    this.send({ type: 'input_audio_buffer.speech_stopped', item_id: itemId });
    this.send({ type: 'input_audio_buffer.committed', item_id: itemId, previous_item_id: null });
  }

  begin(responseId: string, metadata: object | null = null): void {
    this.send({ type: 'response.created', response: { id: responseId, status: 'in_progress', output: [], metadata } });
  }

  /** 100 ms of audio of a response's one item, which is begun with it. */
  speak(responseId: string): void {
    const of = { response_id: responseId, item_id: `item_${responseId}` };
    this.send({
      type: 'response.output_item.added',
      response_id: responseId,
      item: { id: of.item_id, type: 'message' },
    });
    this.send({ type: 'response.output_audio_transcript.delta', ...of, delta: 'Well' });
    this.send({ type: 'response.output_audio.delta', ...of, delta: Buffer.alloc(4_800).toString('base64') });
  }

  finish(responseId: string, more: object = {}): void {
    const item = {
      id: `item_${responseId}`,
      type: 'message',
      status: 'completed',
      content: [{ type: 'output_audio' }],
    };
    this.send({ type: 'response.output_item.done', response_id: responseId, item });
    this.send({ type: 'response.done', response: { id: responseId, status: 'completed', output: [item], ...more } });
  }

  close(): void {
    for (const client of this.#server.clients) client.terminate();
    this.#server.close();
  }
}
