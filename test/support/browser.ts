import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/** Debian's Chromium, or whichever `CHROMIUM` names. */
const CANDIDATES = [
  process.env['CHROMIUM'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
];

/** Where a Chromium is; undefined: there is none, and what needs one is skipped. */
export const chromiumPath = CANDIDATES.find((path) => path !== undefined && existsSync(path));

/**
 * Whoever starts it closes it.
 * @param microphone a WAV file for its microphone; played once, from the moment a page asks for the microphone
 */
export function launchBrowser(microphone?: string): Promise<Browser> {
  if (chromiumPath === undefined) throw new Error('there is no Chromium on this machine: apt-get install chromium');
  return chromium.launch({
    executablePath: chromiumPath,
    args: [
      // Containers run as root, and their /dev/shm is small.
      '--no-sandbox',
      '--disable-dev-shm-usage',
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
      ...(microphone === undefined ? [] : [`--use-file-for-fake-audio-capture=${microphone}%noloop`]),
      '--autoplay-policy=no-user-gesture-required',
    ],
  });
}
