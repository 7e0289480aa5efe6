import interrupter from '../../fixtures/calls/interrupter-16k.wav?url';
import orderStatus from '../../fixtures/calls/order-status-16k.wav?url';
import transferRequest from '../../fixtures/calls/transfer-request-16k.wav?url';
import { request } from '../api/client.ts';

/** Callers that come with the gateway, for machines without a microphone and for the simulator, which knows their words. */
export const RECORDINGS = [
  { title: 'asks where an order is', url: orderStatus },
  { title: 'interrupts the agent', url: interrupter },
  { title: 'wants to speak to a person', url: transferRequest },
] as const;

/** @throws {ApiFailure} */
export async function recordingOf({ title, url }: { readonly title: string; readonly url: string }): Promise<File> {
  const answer = await request(url);
  return new File([await answer.blob()], title);
}
