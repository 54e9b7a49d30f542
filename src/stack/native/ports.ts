/**
 * The stack's ports: chosen once, kept in the state file so that a restart finds its clients' configuration still
 * true, chosen again only when someone else has taken one meanwhile.
 */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import getPort from 'get-port';

/** Every port that the native stack listens on. */
export const PORT_NAMES = ['kafka', 'kafkaController', 'cassandra', 'cassandraStorage', 'postgres', 'agent'] as const;
/** Ports of what only some stacks have. */
export const EXTRA_PORT_NAMES = ['kafkaBehindProxy', 'agent2'] as const;
export type ExtraPortName = (typeof EXTRA_PORT_NAMES)[number];
export type PortName = (typeof PORT_NAMES)[number] | ExtraPortName;
export type Ports = Readonly<Record<(typeof PORT_NAMES)[number], number>> &
  Readonly<Partial<Record<ExtraPortName, number | undefined>>>;

/**
 * Below the range (from 32768 on Linux, 49152 elsewhere) from which the kernel takes ports for outgoing
 * connections: a remembered port there would now and then be taken by a browser.
 */
const FIRST_PORT = 20_000;
const LAST_PORT = 29_999;

/** Finds a free port on the loopback interface, preferring `wanted`. */
export type FindPort = (wanted: number | undefined, taken: ReadonlySet<number>) => Promise<number>;

/** Whether nobody listens there now. */
async function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(false);
    });
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () =>
      server.close(() => {
        resolve(true);
      }),
    );
  });
}

/** {@link FindPort} on this machine. */
export const findFreePort: FindPort = async (wanted, taken) => {
  // Not left to get-port, which does not give out a port again that it gave out a moment ago, in this very process.
  if (wanted !== undefined && !taken.has(wanted) && (await isFree(wanted))) return wanted;
  // A random start makes two stacks that begin at the same moment very unlikely to want the same ports.
  const start = randomInt(FIRST_PORT, LAST_PORT + 1);
  const candidates = Array.from({ length: LAST_PORT - FIRST_PORT + 1 }, (_, index) => {
    const port = start + index;
    return port > LAST_PORT ? port - (LAST_PORT - FIRST_PORT + 1) : port;
  });
  return getPort({ host: '127.0.0.1', port: candidates, exclude: [...taken] });
};

/**
 * Ports for a start. `remembered` are those of the last start; those in `inUse` belong to parts of ours that are
 * running and are kept without looking.
 */
export async function choosePorts(
  remembered: Readonly<Partial<Record<PortName, number | undefined>>>,
  inUse: ReadonlySet<PortName>,
  findPort: FindPort = findFreePort,
  extra: readonly ExtraPortName[] = [],
): Promise<Ports> {
  const names: readonly PortName[] = [...PORT_NAMES, ...extra];
  const chosen: Partial<Record<PortName, number>> = {};
  const taken = new Set<number>();
  const take = (name: PortName, port: number): void => {
    chosen[name] = port;
    taken.add(port);
  };
  for (const name of names) {
    const port = remembered[name];
    if (port !== undefined && inUse.has(name)) take(name, port);
  }
  for (const name of names) {
    if (chosen[name] === undefined) take(name, await findPort(remembered[name], taken));
  }
  return chosen as Ports;
}
