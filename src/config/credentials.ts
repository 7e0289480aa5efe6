import { type Credentials, credentialHeaders } from '../upstream/credentials.ts';
import type { Config } from './config.ts';

/** As whom the daemon connects to its Realtime server. */
export function credentialsOf({ env }: Config): Credentials {
  return {
    apiKey: env.OPENAI_API_KEY,
    apiKeyFile: env.OPENAI_API_KEY_FILE,
    scheme: env.OPENAI_AUTH as Credentials['scheme'],
    headersFile: env.OPENAI_HEADERS_FILE,
  };
}

/** What the files of credentials have now, which nobody may read in a log. Empty where they cannot be used. */
export function secretsInFiles(config: Config): string[] {
  try {
    return Object.values(credentialHeaders(credentialsOf(config))).map((value) => value.replace(/^\w+ /, ''));
  } catch {
    // What is wrong with them is said at the start.
    return [];
  }
}
