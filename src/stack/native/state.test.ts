import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openStack } from '../open-stack.ts';
import { ownedParts } from './guardian.ts';
import { choosePorts, findFreePort, PORT_NAMES, type FindPort } from './ports.ts';
import { readState, stateFile, writeState, type NativeState } from './state-file.ts';
import { withFileLock } from './file-lock.ts';

const state: NativeState = {
  version: 1,
  provider: 'native',
  ports: {
    kafka: 20_001,
    kafkaController: 20_002,
    cassandra: 20_003,
    cassandraStorage: 20_004,
    postgres: 20_005,
    agent: 20_006,
  },
  postgresPassword: 'secret',
  postgresDataDir: '/data',
  kafkaClusterId: 'AAAA',
  parts: {
    kafka: { pid: 7, startTime: 'boot:1', owner: 'me' },
    postgres: { pid: 8, startTime: 'boot:2', owner: null },
  },
};

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'lockstep-state-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('the state file', () => {
  it('survives being written and read, and is for its owner only', async () => {
    await writeState(dir, state);
    expect(readState(dir)).toEqual(state);
    expect((await stat(stateFile(dir))).mode & 0o077).toBe(0);
    expect(await readdir(dir)).toEqual(['state.json']);
  });

  it('is undefined where no stack has been', () => {
    expect(readState(dir)).toBeUndefined();
  });

  it('is refused, with a remedy, when it is not ours', async () => {
    await writeFile(stateFile(dir), '{"version":2}');
    expect(() => readState(dir)).toThrow(
      expect.objectContaining({ code: 'STACK_STATE', remedy: expect.stringContaining('--dir') }),
    );
  });
});

describe('ports', () => {
  /** Hands out the wanted port unless it is busy; else counts up. */
  const finder = (busy: readonly number[]): FindPort => {
    let next = 25_000;
    return async (wanted, taken) =>
      wanted !== undefined && !busy.includes(wanted) && !taken.has(wanted) ? wanted : next++;
  };

  it('are all different', async () => {
    const ports = await choosePorts({}, new Set());
    expect(new Set(Object.values(ports)).size).toBe(PORT_NAMES.length);
  });

  it('that are free are found again in the same process', async () => {
    const port = await findFreePort(undefined, new Set());
    expect(await findFreePort(port, new Set())).toBe(port);
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(port, '127.0.0.1', resolve));
    expect(await findFreePort(port, new Set())).not.toBe(port);
    await new Promise((resolve) => holder.close(resolve));
  });

  it('are kept from the last start', async () => {
    expect(await choosePorts(state.ports, new Set(), finder([]))).toEqual(state.ports);
  });

  it('are chosen again when a stranger has taken one', async () => {
    const ports = await choosePorts(state.ports, new Set(), finder([20_001]));
    expect(ports).toEqual({ ...state.ports, kafka: 25_000 });
  });

  it('of a running part are kept although they are in use, by itself', async () => {
    expect(await choosePorts(state.ports, new Set(['kafka']), finder([20_001]))).toEqual(state.ports);
  });
});

describe('the guardian', () => {
  it("ends its owner's parts and no others, PostgreSQL without waiting for clients", () => {
    expect(ownedParts(state, 'me').map(({ identity }) => identity.pid)).toEqual([7]);
    expect(ownedParts({ ...state, parts: { postgres: { pid: 8, startTime: 'x', owner: 'me' } } }, 'me')).toMatchObject([
      { signal: 'SIGINT' },
    ]);
    expect(ownedParts(undefined, 'me')).toEqual([]);
  });
});

describe('the lock', () => {
  const path = (): string => join(dir, 'lock');

  it('lets one in at a time', async () => {
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside);
      await readdir(dir);
      inside--;
    };
    await Promise.all(Array.from({ length: 5 }, () => withFileLock(path(), { limitMs: 20_000 }, work)));
    expect(most).toBe(1);
    expect(await readdir(dir)).toEqual([]);
  });

  it('is taken over from a holder that is gone', async () => {
    await writeFile(path(), JSON.stringify({ pid: process.pid, startTime: 'another life', token: 'x' }));
    expect(await withFileLock(path(), { limitMs: 20_000 }, async () => 'in')).toBe('in');
  });

  it('gives up after its limit, naming the holder', async () => {
    const refused = withFileLock(path(), { limitMs: 20_000 }, () =>
      withFileLock(path(), { limitMs: 0 }, async () => 'in'),
    );
    await expect(refused).rejects.toMatchObject({
      code: 'STACK_BUSY',
      message: expect.stringContaining(String(process.pid)),
    });
  });
});

describe('a directory that was used before', () => {
  it('keeps its provider under auto, and refuses another', async () => {
    await writeState(dir, state);
    await chmod(dir, 0o755);
    expect((await openStack({ provider: 'auto', dir })).provider).toBe('native');
    await expect(openStack({ provider: 'docker', dir })).rejects.toMatchObject({ code: 'STACK_STATE' });
  });

  it('has no endpoints before the first start', async () => {
    const stack = await openStack({ provider: 'native', dir });
    expect(() => stack.endpoints()).toThrow(expect.objectContaining({ code: 'STACK_NOT_UP' }));
    expect(await stack.status()).toMatchObject({ running: false, healthy: false, endpoints: null });
    await stack.down();
  });
});
