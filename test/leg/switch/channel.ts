import { randomUUID } from 'node:crypto';

/** What FreeSWITCH knows of one call. */
export interface ChannelOptions {
  /** As FreeSWITCH names them. */
  readonly codec?: string;
  readonly rateHz?: number;
  readonly ptimeMs?: number;
  readonly variables?: Readonly<Record<string, string>>;
  readonly answerState?: 'ringing' | 'early' | 'answered';
  readonly callerNumber?: string;
}

/** A channel's state, and how FreeSWITCH writes it down. */
export class Channel {
  readonly uuid = randomUUID();
  readonly variables = new Map<string, string>();
  answerState: 'ringing' | 'early' | 'answered' | 'hangup';
  readonly codec: string;
  readonly rateHz: number;
  readonly ptimeMs: number;
  readonly callerNumber: string;

  constructor({ codec = 'PCMU', rateHz = 8000, ptimeMs = 20, variables = {}, ...rest }: ChannelOptions) {
    this.codec = codec;
    this.rateHz = rateHz;
    this.ptimeMs = ptimeMs;
    this.answerState = rest.answerState ?? 'ringing';
    this.callerNumber = rest.callerNumber ?? '393297626144';
    for (const [name, value] of Object.entries(variables)) this.variables.set(name, value);
  }

  /** Lines of an event, values percent-encoded. */
  event(name: string, extra: Readonly<Record<string, string>> = {}): string {
    // Media are negotiated when the call is answered, as with `inbound-late-negotiation`.
    const hasMedia = this.answerState !== 'ringing';
    const fields: Record<string, string> = {
      'Event-Name': name,
      'Core-UUID': 'b2c1c2b0-0000-4000-8000-000000000000',
      'FreeSWITCH-Hostname': 'switch.example.com',
      'Event-Date-GMT': 'Sat, 28 Nov 2026 07:00:00 GMT',
      'Channel-State': this.answerState === 'hangup' ? 'CS_HANGUP' : 'CS_EXECUTE',
      'Channel-Name': 'sofia/internal/1000@example.com',
      'Unique-ID': this.uuid,
      'Call-Direction': 'inbound',
      'Answer-State': this.answerState,
      ...(hasMedia ? { 'Channel-Read-Codec-Name': this.codec, 'Channel-Read-Codec-Rate': String(this.rateHz) } : {}),
      'Caller-Caller-ID-Name': 'Ünal, Zoë: 100%',
      'Caller-Caller-ID-Number': this.callerNumber,
      'Caller-Destination-Number': '5406594427',
      'Caller-Context': 'public',
      ...(hasMedia ? { variable_rtp_use_codec_ptime: String(this.ptimeMs) } : {}),
      ...Object.fromEntries([...this.variables].map(([key, value]) => [`variable_${key}`, value])),
      ...extra,
    };
    return Object.entries(fields)
      .map(([key, value]) => `${key}: ${encodeURIComponent(value)}\n`)
      .join('');
  }
}
