import type { Logger } from 'pino';
import type { LEG_PACKET_FATES } from '../metrics/labels.ts';
import type { LegMetrics, LegSource } from '../metrics/leg-metrics.ts';
import { LegCall } from './call/leg-call.ts';
import type { CallDefaults } from './call/settings.ts';
import { SwitchListener } from './event-socket/listener.ts';
import type { LegGateway } from './gateway/leg-gateway.ts';
import type { MediaCounts } from './media/media-line.ts';
import { PacketClock } from './media/packet-clock.ts';
import { MediaPorts, type PortRange } from './media/ports.ts';

type Packets = Record<(typeof LEG_PACKET_FATES)[number], number>;

export interface LegServerOptions {
  readonly host: string;
  readonly port: number;
  /** Addresses of the switches that may connect. */
  readonly switches: readonly string[];
  readonly ports: PortRange;
  readonly defaults: CallDefaults;
  readonly gateway: LegGateway;
  readonly metrics: LegMetrics;
  readonly log: Logger;
}

/** The legs of a process: takes calls from switches, and carries their audio. Whoever creates it closes it. */
export class LegServer implements LegSource {
  readonly #options: LegServerOptions;
  readonly #listener: SwitchListener;
  readonly #clock: PacketClock;
  readonly #ports: MediaPorts;
  readonly #calls = new Map<LegCall, Promise<void>>();
  /** Those of calls that are over. */
  readonly #packets: Packets = { received: 0, sent: 0, lost: 0, late: 0, unusable: 0, stranger: 0, gap: 0 };
  #port: number | undefined;
  #isDraining = false;

  constructor(options: LegServerOptions) {
    this.#options = options;
    const { host, port, switches, log, metrics } = options;
    this.#clock = new PacketClock((err) => log.error({ err }, 'a leg failed on its clock'));
    this.#ports = new MediaPorts(options.ports);
    this.#listener = new SwitchListener({
      host,
      port,
      switches,
      log,
      onRefused: (why) => metrics.refused(why),
      onCall: (socket, channel) => {
        const call = new LegCall(socket, channel, {
          gateway: options.gateway,
          media: { ports: this.#ports, clock: this.#clock, onSent: (lateMs) => metrics.sent(lateMs) },
          defaults: options.defaults,
          log,
        });
        const running = call.run().then(({ outcome, audio }) => {
          this.#calls.delete(call);
          if (audio) addTo(this.#packets, audio);
          metrics.ended(outcome, audio?.jitterMs);
        });
        this.#calls.set(call, running);
      },
    });
    metrics.observe(this);
  }

  /**
   * @returns the port it listens on
   * @throws {Error} when nobody can listen there
   */
  async listen(): Promise<number> {
    this.#port = await this.#listener.listen();
    return this.#port;
  }

  /** Where it listens; undefined: not yet. */
  get port(): number | undefined {
    return this.#port;
  }

  /** Calls that are there. */
  get active(): number {
    return this.#calls.size;
  }

  /** Packets since the start, by what became of them. */
  packets(): Packets {
    const packets = { ...this.#packets };
    for (const call of this.#calls.keys()) if (call.counts) addTo(packets, call.counts);
    return packets;
  }

  /** Why no call can be taken at the moment, as far as is known. */
  get refusal(): string | undefined {
    if (this.#isDraining) return 'it is shutting down';
    if (this.#ports.free === 0) return 'all ports for audio are taken';
    return this.#options.gateway.refusal;
  }

  /** Takes no more calls: the switch is refused, and goes on in its dialplan. Idempotent. */
  drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.#listener.close();
  }

  /** Sends the calls that are left to their fallback, and stops. Idempotent. */
  async close(): Promise<void> {
    this.drain();
    for (const call of this.#calls.keys()) call.giveUp('the leg is shutting down');
    await Promise.all(this.#calls.values());
    this.#clock.close();
    await this.#options.gateway.close();
  }
}

function addTo(packets: Packets, counts: MediaCounts): void {
  packets.received += counts.packets;
  packets.sent += counts.sent;
  packets.lost += counts.lost;
  packets.late += counts.late;
  packets.unusable += counts.unusable;
  packets.stranger += counts.strangers;
  packets.gap += counts.gaps;
}
