/**
 * A TCP proxy that misbehaves when told to: it cuts connections, slows them, lets them hang half-open, or refuses new
 * ones. It forwards bytes and knows no protocol, so what is behind it is the real server.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Where a proxy listens and what it leads to. */
export interface TcpProxyOptions {
  readonly listenHost?: string;
  /** 0: any free port. */
  readonly listenPort?: number;
  readonly upstreamHost?: string;
  readonly upstreamPort: number;
}

/**
 * What happens to bytes. `hang` is a half-open connection: neither side hears of the other, and no connection ends; what
 * was sent meanwhile is delivered afterwards, as after a network that came back.
 */
type Mode = { readonly kind: 'pass' } | { readonly kind: 'delay'; readonly ms: number } | { readonly kind: 'hang' };

/** One direction of one connection: chunks in order, whatever the mode. */
class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #mode: () => Mode;
  #held: Buffer[] = [];
  #ended = false;
  #due: NodeJS.Timeout | null = null;

  constructor(from: Socket, to: Socket, mode: () => Mode) {
    this.#from = from;
    this.#to = to;
    this.#mode = mode;
    from.on('data', (chunk: Buffer) => {
      this.#held.push(chunk);
      this.pump();
    });
    from.on('end', () => {
      this.#ended = true;
      this.pump();
    });
    to.on('drain', () => from.resume());
  }

  /** Sends what may be sent; called again whenever the mode changes. */
  pump(): void {
    const mode = this.#mode();
    switch (mode.kind) {
      case 'hang':
        return;
      case 'pass':
        this.#flush();
        return;
      case 'delay':
        // Chunks that arrive during the wait go along with the first one: latency, not bandwidth.
        this.#due ??= setTimeout(() => {
          this.#due = null;
          if (this.#mode().kind !== 'hang') this.#flush();
        }, mode.ms);
    }
  }

  close(): void {
    if (this.#due !== null) clearTimeout(this.#due);
    this.#held = [];
  }

  #flush(): void {
    const chunks = this.#held;
    this.#held = [];
    if (this.#to.destroyed) return;
    for (const chunk of chunks) {
      // Back-pressure as without a proxy.
      if (!this.#to.write(chunk)) this.#from.pause();
    }
    if (this.#ended) this.#to.end();
  }
}

interface Link {
  readonly sockets: readonly [Socket, Socket];
  readonly pipes: readonly [Pipe, Pipe];
}

/** See the header. */
export class TcpProxy {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #mode: Mode = { kind: 'pass' };
  #refusing = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async listen(options: TcpProxyOptions): Promise<TcpProxy> {
    const server = createServer({ allowHalfOpen: true });
    const proxy = new TcpProxy(server);
    server.on('connection', (client) => {
      proxy.#accept(client, options);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.listenPort ?? 0, options.listenHost ?? '127.0.0.1', resolve);
    });
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen on a port');
    return address.port;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#links.size;
  }

  /** Resets every connection. Returns how many there were. */
  cut(): number {
    const cut = this.#links.size;
    for (const link of [...this.#links]) this.#drop(link);
    return cut;
  }

  /** Adds latency to each direction. */
  delay(ms: number): void {
    this.#change({ kind: 'delay', ms });
  }

  /** Stops forwarding without ending anything. */
  hang(): void {
    this.#change({ kind: 'hang' });
  }

  /** Resets every connection, and each new one at once. */
  refuse(): number {
    this.#refusing = true;
    return this.cut();
  }

  /** Behaves again. */
  heal(): void {
    this.#refusing = false;
    this.#change({ kind: 'pass' });
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  #change(mode: Mode): void {
    this.#mode = mode;
    for (const { pipes } of this.#links) for (const pipe of pipes) pipe.pump();
  }

  #accept(client: Socket, { upstreamHost = '127.0.0.1', upstreamPort }: TcpProxyOptions): void {
    if (this.#refusing) {
      client.on('error', () => undefined);
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ host: upstreamHost, port: upstreamPort, allowHalfOpen: true });
    const mode = (): Mode => this.#mode;
    const link: Link = {
      sockets: [client, upstream],
      pipes: [new Pipe(client, upstream, mode), new Pipe(upstream, client, mode)],
    };
    this.#links.add(link);
    for (const socket of link.sockets) {
      socket.setNoDelay(true);
      // Either end that is gone takes the other along, as one connection would.
      socket.on('error', () => {
        this.#drop(link);
      });
      socket.on('close', () => {
        if (link.sockets.every((each) => each.destroyed)) this.#links.delete(link);
        else if (socket.errored !== null) this.#drop(link);
      });
    }
  }

  #drop(link: Link): void {
    this.#links.delete(link);
    for (const pipe of link.pipes) pipe.close();
    for (const socket of link.sockets) if (!socket.destroyed) socket.resetAndDestroy();
  }
}
