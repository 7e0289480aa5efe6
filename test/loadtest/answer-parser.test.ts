import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { AnswerParser } from '../../loadtest/answer-parser.ts';
import { chunkOf, StreamedExchange } from '../../loadtest/streamed-exchange.ts';

function parse(text: string, cut: number, closes = false) {
  let status = 0;
  let body = '';
  let ends = 0;
  const parser = new AnswerParser({
    onHead: (value) => {
      status = value;
    },
    onBody: (bytes) => {
      body += Buffer.from(bytes).toString();
    },
    onEnd: () => {
      ends += 1;
    },
  });
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += cut) parser.push(bytes.subarray(at, at + cut));
  if (closes) parser.closed();
  return { status, body, ends, isDone: parser.isDone };
}

const CHUNKED =
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n10;x=y\r\n, is it you now?\r\n0\r\nT: 1\r\n\r\n';

it.each([1, 2, 3, 7, 1000])('reads an answer in chunks, cut every %i bytes', (cut) => {
  expect(parse(CHUNKED, cut)).toEqual({ status: 200, body: 'hello, is it you now?', ends: 1, isDone: true });
  expect(parse(`HTTP/1.1 100 Continue\r\n\r\n${CHUNKED}`, cut).body).toBe('hello, is it you now?');
});

it('reads one with a length, one without a body, and one that ends with its connection', () => {
  expect(parse('HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}', 5)).toMatchObject({ status: 404, body: '{}' });
  expect(parse('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 5)).toMatchObject({ ends: 1, body: '' });
  expect(parse('HTTP/1.1 200 OK\r\n\r\nabc', 5, true)).toMatchObject({ ends: 1, body: 'abc' });
  expect(parse(CHUNKED.slice(0, -4), 5, true)).toMatchObject({ ends: 0, isDone: false });
});

it('does not take for an answer what is none', () => {
  expect(() => parse('SSH-2.0-OpenSSH\r\n\r\n', 100)).toThrow(/no HTTP/);
  expect(() => parse('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', 100)).toThrow(/length of a chunk/);
  expect(() => parse('x'.repeat(20_000), 1000)).toThrow(/no end/);
});

it('sends and hears at the same time over a real connection, and is told how it ends', async () => {
  const server = createServer((request, response) => {
    response.flushHeaders();
    request.pipe(response);
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  let heard = '';
  const wait = Promise.withResolvers<void>();
  const end = Promise.withResolvers<string | undefined>();
  const exchange = new StreamedExchange(
    { origin: `http://127.0.0.1:${port}`, path: '/', headers: {} },
    {
      onHead: (status) => expect(status).toBe(200),
      onBody: (bytes) => {
        heard += Buffer.from(bytes).toString();
        if (heard === 'ab') wait.resolve();
      },
      onEnd: (code) => end.resolve(code),
    },
  );
  exchange.write(chunkOf(Buffer.from('ab')));
  await wait.promise;
  exchange.write(chunkOf(Buffer.from('cd')));
  exchange.end();
  expect(await end.promise).toBeUndefined();
  expect(heard).toBe('abcd');
});

it('tells a connection that breaks from an answer that ends', async () => {
  const server = createServer((request) => request.socket.destroy());
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const code = await new Promise((resolve) => {
    const listener = { onHead: () => {}, onBody: () => {}, onEnd: resolve };
    new StreamedExchange({ origin: `http://127.0.0.1:${port}`, path: '/', headers: {} }, listener);
  });
  expect(['ECONNRESET', 'EPIPE', 'socket_closed']).toContain(code);
});
