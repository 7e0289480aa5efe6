import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type AudioFormat, bytesPerMs } from '../../../src/audio/codec.ts';
import { Channel, type ChannelOptions } from './channel.ts';

export interface SwitchCallOptions extends ChannelOptions {
  /** What the dialplan says behind the address. */
  readonly mode?: readonly ('async' | 'full')[];
}

/** A datagram of the leg, and when it came. */
export interface Heard {
  readonly atMs: number;
  readonly bytes: Buffer;
}

type Fields = ReadonlyMap<string, string>;

/** Whether a packet has more in it than the smallest step of A-law, which has no zero. */
export function isSound(bytes: Buffer): boolean {
  for (let at = 0; at + 1 < bytes.length; at += 2) if (Math.abs(bytes.readInt16LE(at)) > 16) return true;
  return false;
}

/** Calls that tests have made, and may have left. */
const open = new Set<SwitchCall>();

/** Ends every call, as a switch that is killed does. */
export function killAllCalls(): void {
  for (const call of open) call.kill();
}

/**
 * One call of a FreeSWITCH of our own: the application `socket` with `async full`, as mod_event_socket speaks it, the park it
 * waits in, and `unicast`. Replies, order and events are FreeSWITCH's (mod_event_socket.c and switch_ivr.c of 1.11).
 */
export class SwitchCall {
  readonly channel: Channel;
  /** What `unicast` carries: linear samples, whatever the codec of the call. */
  readonly format: AudioFormat;
  /** What the caller's telephone was sent. */
  readonly heard: Heard[] = [];
  /** Commands in the order in which they came, without their fields. */
  readonly commands: string[] = [];
  /** Applications that were run, with their arguments. */
  readonly executed: string[] = [];
  /** How the call left the leg: `transfer 200 XML public`, `hangup NORMAL_CLEARING`, `dialplan` (the next action); `caller`. */
  readonly left = Promise.withResolvers<string>();
  readonly #mode: readonly string[];
  readonly #socket: Socket;
  #soundBytes = 0;
  #text = '';
  #events = new Set<string>();
  #filter: string | undefined;
  #lingers = false;
  #isParked = false;
  #isDown = false;
  #queue: Fields[] = [];
  #isBusy = false;
  #audio: UdpSocket | undefined;
  #toLeg: { port: number; address: string } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #speech: Buffer = Buffer.alloc(0);
  #nextAtMs = 0;
  /** Packets are left out while it is true. */
  isMute = false;

  private constructor(socket: Socket, { mode = ['async', 'full'], ...options }: SwitchCallOptions) {
    this.#socket = socket;
    this.#mode = mode;
    this.channel = new Channel(options);
    this.format = { encoding: 'pcm16', sampleRateHz: this.channel.rateHz as 8000 };
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('data', (chunk) => this.#receive(chunk.toString('utf8')));
    socket.once('close', () => {
      this.#unpark('dialplan');
      this.#closeAudio();
      open.delete(this);
    });
    open.add(this);
  }

  /** The dialplan comes to `socket`. */
  static async place(port: number, options: SwitchCallOptions = {}, host = '127.0.0.1'): Promise<SwitchCall> {
    const socket = connect(port, host);
    await once(socket, 'connect');
    return new SwitchCall(socket, options);
  }

  // The caller and other people

  /** Says something, behind what is being said already. Resolves when all of it has been sent. */
  async say(audio: Uint8Array): Promise<void> {
    this.#speech = Buffer.concat([this.#speech, audio]);
    while (this.#speech.length > 0 && this.#audio) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  press(digit: string): void {
    this.#emit('DTMF', { 'DTMF-Digit': digit, 'DTMF-Duration': '2000', 'DTMF-Source': 'RTP' });
  }

  hold(isOn: boolean): void {
    this.isMute = isOn;
    this.#emit(isOn ? 'CHANNEL_HOLD' : 'CHANNEL_UNHOLD');
  }

  hangUp(cause = 'NORMAL_CLEARING'): void {
    this.#down(cause, 'caller');
  }

  /** `uuid_transfer` by somebody else. */
  takeAway(): void {
    this.#unpark('taken');
  }

  /** The switch dies. */
  kill(): void {
    clearInterval(this.#timer);
    this.#socket.destroy();
  }

  /** Sends bytes as they are over the event socket. */
  sendRaw(text: string | Uint8Array): void {
    this.#socket.write(text);
  }

  /** Sends one datagram as it is, from the call's own port. */
  sendPacket(bytes: Uint8Array): void {
    if (this.#toLeg) this.#audio?.send(bytes, this.#toLeg.port, this.#toLeg.address);
  }

  /** Where the leg takes this call's audio; undefined: it does not yet. */
  get legAudio(): { port: number; address: string } | undefined {
    return this.#toLeg;
  }

  get isConnected(): boolean {
    return !this.#socket.destroyed;
  }

  get received(): Buffer {
    return Buffer.concat(this.heard.map(({ bytes }) => bytes));
  }

  /** Milliseconds of the packets that were heard and are not silent. */
  get soundMs(): number {
    return this.#soundBytes / bytesPerMs(this.format);
  }

  // The event socket

  #receive(text: string): void {
    this.#text += text;
    for (let end = this.#text.indexOf('\n\n'); end >= 0; end = this.#text.indexOf('\n\n')) {
      const [command = '', ...lines] = this.#text.slice(0, end).replace(/^\n+/, '').split('\n');
      this.#text = this.#text.slice(end + 2);
      const fields = new Map(
        lines.map((line) => {
          const at = line.indexOf(':');
          return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()] as const;
        }),
      );
      this.commands.push(command);
      this.#obey(command, fields);
    }
  }

  #obey(command: string, fields: Fields): void {
    const [word = '', ...rest] = command.split(' ');
    const isFull = this.#mode.includes('full');
    if (word === 'connect') {
      const data = this.channel.event('CHANNEL_DATA', {
        'Content-Type': 'command/reply',
        'Reply-Text': '+OK\n',
        'Socket-Mode': this.#mode.includes('async') ? 'async' : 'static',
        Control: isFull ? 'full' : 'single-channel',
      });
      this.#socket.write(`${data}\n`);
      this.#isParked = true;
      void this.#work();
    } else if (word === 'exit') {
      this.#reply('+OK bye');
      this.#disconnect();
    } else if (word === 'filter') {
      this.#filter = rest[1];
      this.#reply(`+OK filter added. [${rest[0]}]=[${rest[1]}]`);
    } else if (word === 'sendmsg') {
      this.#queue.push(fields);
      this.#reply('+OK');
      void this.#work();
    } else if (!isFull) {
      this.#reply('-ERR command not found');
    } else if (word === 'linger') {
      this.#lingers = true;
      this.#reply(`+OK will linger ${rest[0]} seconds`);
    } else if (word === 'event') {
      this.#events = new Set(rest.slice(1));
      this.#reply('+OK event listener enabled plain');
    } else {
      this.#reply('-ERR command not found');
    }
  }

  #reply(text: string): void {
    this.#socket.write(`Content-Type: command/reply\nReply-Text: ${text}\n\n`);
  }

  #emit(name: string, extra: Readonly<Record<string, string>> = {}): void {
    if (!this.#events.has(name) || (this.#filter !== undefined && this.#filter !== this.channel.uuid)) return;
    const body = `${this.channel.event(name, extra)}\n`;
    const length = Buffer.byteLength(body);
    this.#socket.write(`Content-Length: ${length}\nContent-Type: text/event-plain\n\n${body}`);
  }

  #disconnect(): void {
    const text = 'Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n';
    this.#socket.end(`Content-Type: text/disconnect-notice\nContent-Length: ${text.length}\n\n${text}`);
    this.#unpark('dialplan');
  }

  // The session's thread

  async #work(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    while (this.#isParked && this.#queue.length > 0) {
      const fields = this.#queue.shift()!;
      const command = fields.get('call-command');
      if (command === 'execute') await this.#execute(fields);
      else if (command === 'unicast') await this.#unicast(fields);
      else if (command === 'hangup') {
        const cause = fields.get('hangup-cause') ?? 'NORMAL_CLEARING';
        this.#down(cause, `hangup ${cause}`);
      }
    }
    this.#isBusy = false;
  }

  async #execute(fields: Fields): Promise<void> {
    const application = fields.get('execute-app-name') ?? '';
    const argument = fields.get('execute-app-arg') ?? '';
    this.executed.push(`${application} ${argument}`.trim());
    if (application === 'answer') this.channel.answerState = 'answered';
    else if (application === 'pre_answer') this.channel.answerState = 'early';
    else if (application === 'set') {
      const at = argument.indexOf('=');
      this.channel.variables.set(argument.slice(0, at), argument.slice(at + 1));
    } else if (application === 'playback') {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const id = fields.get('event-uuid');
    this.#emit('CHANNEL_EXECUTE_COMPLETE', {
      Application: application,
      'Application-Data': argument,
      ...(id === undefined ? {} : { 'Application-UUID': id }),
    });
    if (application === 'transfer') this.#unpark(`transfer ${argument}`);
  }

  async #unicast(fields: Fields): Promise<void> {
    const audio = createSocket('udp4');
    audio.on('message', (bytes) => {
      this.heard.push({ atMs: performance.now(), bytes });
      if (isSound(bytes)) this.#soundBytes += bytes.length;
    });
    audio.bind(Number(fields.get('local-port')), fields.get('local-ip'));
    await once(audio, 'listening');
    this.#audio = audio;
    this.#toLeg = { port: Number(fields.get('remote-port')), address: fields.get('remote-ip')! };
    this.#nextAtMs = performance.now();
    this.#timer = setInterval(() => this.#packets(), 5);
  }

  #packets(): void {
    const { ptimeMs } = this.channel;
    const packetBytes = ptimeMs * bytesPerMs(this.format);
    for (; this.#nextAtMs <= performance.now(); this.#nextAtMs += ptimeMs) {
      const packet = Buffer.alloc(packetBytes);
      this.#speech.copy(packet);
      this.#speech = this.#speech.subarray(packetBytes);
      if (!this.isMute) this.sendPacket(packet);
    }
  }

  #down(cause: string, how: string): void {
    if (this.#isDown) return;
    this.#isDown = true;
    this.channel.answerState = 'hangup';
    this.#unpark(how);
    this.#emit('CHANNEL_HANGUP', { 'Hangup-Cause': cause });
    if (!this.#lingers) {
      this.#disconnect();
      return;
    }
    this.#socket.write(
      `Content-Type: text/disconnect-notice\nControlled-Session-UUID: ${this.channel.uuid}\nContent-Disposition: linger\n` +
        'Channel-Name: sofia/internal/1000@example.com\nLinger-Time: 5\nContent-Length: 0\n\n',
    );
  }

  #unpark(how: string): void {
    if (!this.#isParked) return;
    this.#isParked = false;
    this.#closeAudio();
    this.#emit('CHANNEL_UNPARK');
    this.left.resolve(how);
  }

  #closeAudio(): void {
    clearInterval(this.#timer);
    this.#audio?.close();
    this.#audio = undefined;
  }
}
