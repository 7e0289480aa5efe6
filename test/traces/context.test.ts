import { expect, it } from 'vitest';
import { traceContext, traceHeaders } from '../../src/traces/context.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const PARENT = `00-${TRACE}-${SPAN}-01`;

it('goes on with the trace that a call came with, with a span of its own', () => {
  const context = traceContext({ traceparent: PARENT, tracestate: 'vendor=1' }, true)!;
  expect(context).toMatchObject({ traceId: TRACE, parentSpanId: SPAN, isSampled: true, state: 'vendor=1' });
  expect(context.spanId).toMatch(/^(?!0{16}$)[0-9a-f]{16}$/);
  expect(context.spanId).not.toBe(SPAN);
  expect(traceHeaders(context)).toEqual({ traceparent: `00-${TRACE}-${context.spanId}-01`, tracestate: 'vendor=1' });
});

it('passes on what came where there are no spans, and nothing where nothing came', () => {
  expect(traceHeaders(traceContext({ traceparent: PARENT }, false))).toEqual({ traceparent: PARENT });
  expect(traceHeaders(traceContext({}, false))).toEqual({});
});

it('keeps the word of whoever does not want to be traced', () => {
  const context = traceContext({ traceparent: `00-${TRACE}-${SPAN}-00` }, true)!;
  expect(context.isSampled).toBe(false);
  expect(traceHeaders(context)['traceparent']).toMatch(/-00$/);
});

it('reads what a later version of the standard adds', () => {
  expect(traceContext({ traceparent: `01-${TRACE}-${SPAN}-03-more` }, true)).toMatchObject({ traceId: TRACE });
});

it.each([
  ['nothing', undefined],
  ['a word', 'yes'],
  ['no trace', `00-${'0'.repeat(32)}-${SPAN}-01`],
  ['no span', `00-${TRACE}-${'0'.repeat(16)}-01`],
  ['capitals', PARENT.toUpperCase()],
  ['a forbidden version', `ff-${TRACE}-${SPAN}-01`],
])('begins a trace for a call with %s', (_what, traceparent) => {
  const context = traceContext({ traceparent, tracestate: 'vendor=1' }, true)!;
  expect(context).toMatchObject({ isSampled: true });
  expect([context.parentSpanId, context.state]).toEqual([undefined, undefined]);
  expect(context.traceId).toMatch(/^[0-9a-f]{32}$/);
});
