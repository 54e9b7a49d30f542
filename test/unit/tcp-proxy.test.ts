/** The proxy of the tests: it passes bytes, and each of its faults is what it says. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TcpProxy } from '../support/tcp-proxy.ts';

let server: Server;
let proxy: TcpProxy;
const clients: Socket[] = [];

function open(): Socket {
  const socket = connect({ host: '127.0.0.1', port: proxy.port });
  socket.on('error', () => undefined);
  clients.push(socket);
  return socket;
}

async function client(): Promise<Socket> {
  const socket = open();
  await once(socket, 'connect');
  return socket;
}

/** Resolves whatever ended the connection; `once` would reject for a reset. */
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    socket.once('close', () => resolve());
  });

async function echo(socket: Socket, text: string): Promise<string> {
  const answer = once(socket, 'data') as Promise<[Buffer]>;
  socket.write(text);
  return (await answer)[0].toString();
}

beforeEach(async () => {
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  proxy = await TcpProxy.listen({ upstreamPort: address.port });
});

afterEach(async () => {
  for (const socket of clients.splice(0)) socket.destroy();
  await proxy.close();
  await new Promise((resolve) => server.close(resolve));
});

describe('the proxy', () => {
  it('passes bytes both ways, more than its buffers hold', async () => {
    const socket = await client();
    const sent = Buffer.alloc(8 * 1024 * 1024, 'abcdefg');
    const received: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    socket.end(sent);
    await once(socket, 'end');
    expect(Buffer.concat(received).equals(sent)).toBe(true);
  });

  it('resets connections when it cuts, and takes new ones', async () => {
    const socket = await client();
    expect(await echo(socket, 'a')).toBe('a');
    const gone = closed(socket);
    expect(proxy.cut()).toBe(1);
    await gone;
    expect(await echo(await client(), 'b')).toBe('b');
  });

  it('keeps a hanging connection open and delivers in order when it heals', async () => {
    const socket = await client();
    expect(await echo(socket, 'a')).toBe('a');
    proxy.hang();
    const received: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    socket.write('b');
    socket.write('c');
    const other = await client();
    other.write('d');
    const answered = once(other, 'data') as Promise<[Buffer]>;
    expect(received).toEqual([]);
    proxy.heal();
    expect((await answered)[0].toString()).toBe('d');
    while (Buffer.concat(received).length < 2) await once(socket, 'data');
    expect(Buffer.concat(received).toString()).toBe('bc');
  });

  it('delays each direction', async () => {
    const socket = await client();
    proxy.delay(400);
    const began = performance.now();
    expect(await echo(socket, 'a')).toBe('a');
    // More than one direction's; a timer counts from when its turn of the event loop began, so on a busy machine it is early.
    expect(performance.now() - began).toBeGreaterThan(600);
  });

  it('refuses until it heals', async () => {
    proxy.refuse();
    await closed(open());
    proxy.heal();
    expect(await echo(await client(), 'a')).toBe('a');
  });
});
