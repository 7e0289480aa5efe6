/**
 * Calls are played on lanes, one at a time on each. The model's name is the one thing of a call that its upstream
 * connections tell, so a lane has a model, and a profile with it for every conversation.
 */
export function modelOf(lane: string): string {
  return `gpt-realtime-2.1-${lane}`;
}

/** `aiAgentRef` of a conversation's agent on a lane. */
export function profileOf(conversation: string, lane: string): string {
  return `${conversation}-${lane}`;
}
