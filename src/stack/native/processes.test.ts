import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readlink, mkdir, rm, writeFile, appendFile } from 'node:fs/promises';
import { platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseProperties } from '../connector-files.ts';
import { cacheDir } from './jars.ts';
import { findJava, parseJavaMajor } from './java.ts';
import { lastLines } from './log-file.ts';
import type { NativePart } from './part.ts';
import { renderCassandraConfig } from './parts/cassandra.ts';
import { renderKafkaConfig } from './parts/kafka.ts';
import { renderPostgresConfig } from './parts/postgres.ts';
import { hydrateLinks } from './postgres-binaries.ts';
import { identify, isAlive, processesWithEnvironment, signalProcess } from './process-identity.ts';
import { awaitHealthy, spawnPart } from './start-part.ts';
import type { NativeState } from './state-file.ts';
import { stopProcess } from './stop-process.ts';
import { isReachableByOthers, parseRunAs } from './unprivileged.ts';

let dir: string;
const children: ChildProcess[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'lockstep-process-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

/** A process that runs `program` and has said so. */
async function child(
  program: string,
  environment: Record<string, string> = {},
): Promise<ChildProcess & { pid: number }> {
  const process_ = spawn(process.execPath, ['-e', `${program}; console.log('ready'); setInterval(() => {}, 1000)`], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, ...environment },
  });
  children.push(process_);
  await once(process_.stdout, 'data');
  return process_ as unknown as ChildProcess & { pid: number };
}

describe('the identity of a process', () => {
  it('is not that of another process with its pid', async () => {
    const identity = (await identify(process.pid))!;
    expect(await isAlive(identity)).toBe(true);
    const recycled = { ...identity, startTime: 'earlier' };
    expect(await isAlive(recycled)).toBe(false);
    expect(await signalProcess(recycled, 'SIGKILL')).toBe(false);
  });

  it('ends with the process', async () => {
    const process_ = await child('');
    const identity = (await identify(process_.pid))!;
    expect(await stopProcess(identity, 'SIGTERM', 10_000)).toBe(true);
    expect(await isAlive(identity)).toBe(false);
  });

  it('is killed when it does not listen', async () => {
    const process_ = await child("process.on('SIGTERM', () => {})");
    const identity = (await identify(process_.pid))!;
    expect(await stopProcess(identity, 'SIGTERM', 100)).toBe(false);
    expect(await isAlive(identity)).toBe(false);
  });

  it.runIf(platform() === 'linux')('is found by a mark in its environment', async () => {
    const process_ = await child('', { LOCKSTEP_TEST_MARK: dir });
    expect((await processesWithEnvironment('LOCKSTEP_TEST_MARK', dir)).map(({ pid }) => pid)).toEqual([process_.pid]);
  });
});

describe('a part that does not start', () => {
  const part = (program: string): { part: NativePart; launch: ReturnType<NativePart['launch']> } => {
    const launch = { command: process.execPath, args: ['-e', program], cwd: dir };
    return {
      launch,
      part: {
        name: 'kafka',
        stopSignal: 'SIGTERM',
        stopLimitMs: 1_000,
        startLimitMs: 500,
        remedy: 'Do this.',
        prepare: async () => undefined,
        launch: () => launch,
        isHealthy: async () => false,
        endpoint: () => '',
      },
    };
  };

  it('is named with the end of its log, the path and the remedy', async () => {
    const { part: failing, launch } = part(
      "console.error('first'); console.error('no space left'); process.exitCode = 3; setTimeout(() => {}, 300)",
    );
    const spawned = await spawnPart(dir, failing, launch, {});
    const error: unknown = await awaitHealthy(
      dir,
      { ...failing, startLimitMs: 30_000 },
      spawned,
      {} as NativeState,
      undefined,
    ).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'STACK_PART_FAILED', remedy: 'Do this.' });
    expect((error as Error).message).toContain('"kafka" ended while it was starting');
    expect((error as Error).message).toContain('  first\n  no space left');
    expect((error as Error).message).toContain(join(dir, 'logs', 'kafka.log'));
  });

  it('is told from one that is merely stuck', async () => {
    const { part: stuck, launch } = part('setInterval(() => {}, 1000)');
    const spawned = await spawnPart(dir, stuck, launch, {});
    await expect(awaitHealthy(dir, stuck, spawned, {} as NativeState, undefined)).rejects.toMatchObject({
      code: 'STACK_PART_STUCK',
    });
    await stopProcess(spawned.identity, 'SIGKILL', 0);
  });

  it('says so when its program is missing', async () => {
    const { part: missing, launch } = part('');
    await expect(spawnPart(dir, missing, { ...launch, command: join(dir, 'nothing') }, {})).rejects.toMatchObject({
      code: 'STACK_PART_FAILED',
      message: expect.stringContaining('could not be run'),
    });
  });

  it('shows only what this run wrote', async () => {
    const log = join(dir, 'x.log');
    await writeFile(log, 'old\n');
    await appendFile(log, 'new\n');
    expect(await lastLines(log, 4)).toEqual(['new']);
    expect(await lastLines(log, 8)).toEqual([]);
    expect(await lastLines(join(dir, 'none'))).toEqual([]);
  });
});

describe('Java', () => {
  it.each([
    ['openjdk version "17.0.15" 2025-04-15', 17],
    ['java version "1.8.0_402"', 8],
    ['openjdk version "21" 2023-09-19', 21],
    ['no such thing', undefined],
  ])('%s', (output, major) => {
    expect(parseJavaMajor(output)).toBe(major);
  });

  it('that is missing is an error that says what to install', async () => {
    await expect(findJava({ JAVA_HOME: dir })).rejects.toMatchObject({
      code: 'STACK_NO_JAVA',
      message: expect.stringContaining(dir),
      remedy: expect.stringContaining('openjdk-17'),
    });
  });

  it('that is too old is refused', async () => {
    await mkdir(join(dir, 'bin'));
    await writeFile(join(dir, 'bin', 'java'), '#!/bin/sh\necho \'openjdk version "11.0.2"\' >&2\n', { mode: 0o755 });
    await expect(findJava({ ...process.env, JAVA_HOME: dir })).rejects.toMatchObject({
      code: 'STACK_NO_JAVA',
      message: expect.stringContaining('Java 11'),
    });
  });
});

describe('the cache', () => {
  it('is where it is told to be', () => {
    expect(cacheDir({ LOCKSTEP_CACHE: '/c', XDG_CACHE_HOME: '/x' })).toBe('/c');
    expect(cacheDir({ XDG_CACHE_HOME: '/x' })).toBe('/x/lockstep');
    expect(cacheDir({ LOCKSTEP_CACHE: '' })).toMatch(/\.cache\/lockstep$/);
  });
});

describe("PostgreSQL's user", () => {
  it('is postgres, else nobody, never root', () => {
    expect(parseRunAs('root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/x\npostgres:x:101:104::/:/x\n')).toEqual({
      uid: 101,
      gid: 104,
    });
    expect(parseRunAs('nobody:x:65534:65533::/:/x')).toEqual({ uid: 65534, gid: 65533 });
    expect(parseRunAs('postgres:x:0:0::/:/x')).toBeUndefined();
  });

  it('does not get below a directory that only we may enter', async () => {
    expect(await isReachableByOthers(join(dir, 'a', 'b'))).toBe(false);
    expect(await isReachableByOthers('/usr/bin')).toBe(true);
  });
});

describe("PostgreSQL's libraries", () => {
  it('get the links that npm left out, in the package and in a copy of it', async () => {
    const native = join(dir, 'postgres-18');
    await mkdir(join(native, 'lib'), { recursive: true });
    await writeFile(join(native, 'lib', 'libpq.so.5.18'), 'library');
    await writeFile(
      join(native, 'pg-symlinks.json'),
      JSON.stringify([{ source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' }]),
    );
    await hydrateLinks(native);
    await hydrateLinks(native);
    expect(await readlink(join(native, 'lib', 'libpq.so.5'))).toBe('libpq.so.5.18');
    expect(await readFile(join(native, 'lib', 'libpq.so.5'), 'utf8')).toBe('library');
  });
});

describe('the configuration of', () => {
  it('Kafka listens on the loopback interface and makes topics of four partitions', () => {
    const config = parseProperties(renderKafkaConfig('/k', 20_001, 20_002));
    expect(config.get('listeners')).toBe('PLAINTEXT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002');
    expect(config.get('num.partitions')).toBe('4');
    expect(config.get('group.initial.rebalance.delay.ms')).toBe('0');
  });

  it('Cassandra keeps everything in its home, which may hold any character', () => {
    const config = parse(renderCassandraConfig('/a: b/#c', 20_003, 20_004, { cdc_enabled: true })) as Record<
      string,
      unknown
    >;
    expect(config).toMatchObject({
      commitlog_directory: '/a: b/#c/commitlog',
      cdc_raw_directory: '/a: b/#c/cdc_raw',
      cdc_enabled: true,
      listen_address: '127.0.0.1',
      rpc_address: '127.0.0.1',
      native_transport_port: 20_003,
      storage_port: 20_004,
      initial_token: '0',
    });
  });

  it('PostgreSQL is durable and listens on the loopback interface', () => {
    const config = renderPostgresConfig(20_005);
    expect(config).toContain("listen_addresses = '127.0.0.1'\n");
    expect(config).toContain("fsync = 'on'\n");
    expect(config).toContain("synchronous_commit = 'on'\n");
    expect(config).toContain("max_wal_size = '4GB'\n");
  });
});
