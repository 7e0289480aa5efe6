import { Type } from 'typebox';
import { subject } from '../subject.ts';
import { isLoopback } from './access.ts';

const PORT_RANGE = /^(\d{4,5})-(\d{4,5})$/;

/** Where FreeSWITCH hands calls over, in the daemon or in a process of its own. */
export const leg = subject({
  title: 'The leg',
  variables: {
    LEG_PORT: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 65_535,
        description: 'port for the event sockets of FreeSWITCH; not set: the daemon has no leg; alone: 8084',
      }),
    ),
    LEG_HOST: Type.String({
      default: '127.0.0.1',
      description:
        'address of that port and of the audio; neither is encrypted, so anything but loopback needs `LEG_SWITCHES`',
    }),
    LEG_SWITCHES: Type.Optional(
      Type.String({
        description: 'addresses of the switches that may connect, with commas between them; default: loopback',
      }),
    ),
    LEG_PORTS: Type.String({
      default: '12000-15999',
      description: 'UDP ports for audio, two a call; the second is opened by FreeSWITCH',
    }),
    LEG_FALLBACK_EXTENSION: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9*#+._-]{1,128}$',
        description:
          'where calls go when the AI is lost and `ai_fallback_extension` is not set; default: a prompt and hang-up',
      }),
    ),
    LEG_GATEWAYS: Type.Optional(
      Type.String({ description: 'alone: addresses of gateways, with blanks between them; each call picks one' }),
    ),
    LEG_API_KEY: Type.Optional(
      Type.String({ description: 'alone: key for the gateways, of calls without `ai_api_key`' }),
    ),
    LEG_LEAD_MS: Type.Integer({
      minimum: 40,
      maximum: 400,
      default: 80,
      description: 'alone: milliseconds by which a gateway is ahead of what the caller hears',
    }),
    LEG_HTTP_PORT: Type.Integer({
      minimum: 0,
      maximum: 65_535,
      default: 8085,
      description: 'alone: port of `/health`, `/ready` and `/metrics`',
    }),
    LEG_HTTP_HOST: Type.String({ default: '127.0.0.1', description: 'alone: address of that port' }),
  },
  secrets: ['LEG_API_KEY'],
  mustBe: { LEG_FALLBACK_EXTENSION: 'an extension: letters, digits, and any of *#+._-' },
  problems(env) {
    const problems: string[] = [];
    if (!isLoopback(env.LEG_HOST) && env.LEG_SWITCHES === undefined) {
      problems.push(
        `LEG_HOST is "${env.LEG_HOST}", which others can reach, but LEG_SWITCHES is not set: name the switches that may connect`,
      );
    }
    if (!isPortRange(env.LEG_PORTS)) {
      problems.push(
        `LEG_PORTS is ${JSON.stringify(env.LEG_PORTS)}, but must be two ports from 1024 to 65535 with a hyphen between them`,
      );
    }
    const bad = gatewayUrls(env.LEG_GATEWAYS).find((url) => !/^https?:\/\//.test(url) || !URL.canParse(url));
    if (bad !== undefined) problems.push('LEG_GATEWAYS has an address that is no http:// or https:// URL');
    return problems;
  },
});

/** The addresses in a list of gateways. */
export function gatewayUrls(text: string | undefined): string[] {
  return (text ?? '').split(/\s+/).filter((url) => url !== '');
}

/** Both ends of a range of ports. */
export function portRange(text: string): { first: number; last: number } {
  const match = PORT_RANGE.exec(text);
  return { first: Number(match?.[1]), last: Number(match?.[2]) };
}

function isPortRange(text: string): boolean {
  const { first, last } = portRange(text);
  return first >= 1024 && last <= 65_535 && last > first;
}

/** The addresses that may connect to a leg. */
export function switchAddresses(text: string | undefined): string[] {
  if (text === undefined) return ['127.0.0.1', '::1'];
  return text.split(',').map((address) => address.trim());
}
