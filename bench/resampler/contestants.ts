import libsamplerate from '@alexanderolsen/libsamplerate-js';
import speex from 'speex-resampler';
import { createResamplerState, resample } from '../../src/audio/resampler.ts';
import { PlainResampler } from '../../test/support/plain-resampler.ts';
import { type Contestant, conversionOf } from './contestant.ts';

/** The gateway's resampler. Everything else is compared with it. */
export const ours: Contestant = {
  name: 'ours (WASM SIMD)',
  async open(fromHz, toHz) {
    const state = createResamplerState(fromHz, toHz);
    return conversionOf((chunk) => resample(state, chunk));
  },
};

const plainTwin: Contestant = {
  name: 'ours in plain JavaScript',
  async open(fromHz, toHz) {
    const resampler = new PlainResampler(fromHz, toHz);
    return conversionOf((chunk) => resampler.push(chunk));
  },
};

function speexResampler(quality: number): Contestant {
  return {
    name: `speex-resampler q${quality}`,
    async open(fromHz, toHz) {
      const SpeexResampler = speex.default;
      await SpeexResampler.initPromise;
      const resampler = new SpeexResampler(1, fromHz, toHz, quality);
      return conversionOf((chunk) => {
        const bytes = resampler.processChunk(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
        return new Int16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
      });
    },
  };
}

/** It speaks floats from −1 to 1; what turning PCM16 into them and back takes is part of the conversion. */
function libsamplerateConverter(label: string, converterType: 0 | 1 | 2 | 3 | 4): Contestant {
  return {
    name: `libsamplerate-js ${label}`,
    async open(fromHz, toHz) {
      const converter = await libsamplerate.create(1, fromHz, toHz, { converterType });
      let floats = new Float32Array(0);
      return conversionOf(
        (chunk) => {
          if (floats.length !== chunk.length) floats = new Float32Array(chunk.length);
          for (let i = 0; i < chunk.length; i++) floats[i] = chunk[i]! / 32_768;
          const converted = converter.full(floats);
          const samples = new Int16Array(converted.length);
          for (let i = 0; i < samples.length; i++) {
            samples[i] = Math.max(-32_768, Math.min(32_767, Math.floor(converted[i]! * 32_768 + 0.5)));
          }
          return samples;
        },
        () => converter.destroy(),
      );
    },
  };
}

const { SRC_SINC_FASTEST, SRC_SINC_MEDIUM_QUALITY } = libsamplerate.ConverterType;

/** The others that run in this process. */
export const others: readonly Contestant[] = [
  plainTwin,
  speexResampler(5),
  speexResampler(10),
  libsamplerateConverter('sinc fastest', SRC_SINC_FASTEST),
  libsamplerateConverter('sinc medium', SRC_SINC_MEDIUM_QUALITY),
];
