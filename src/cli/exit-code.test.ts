import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { LockstepError, type ErrorKind } from '../shared/errors.ts';
import { exitCodeOf } from './exit-code.ts';

const root = join(import.meta.dirname, '..', '..');
const directory = mkdtempSync(join(tmpdir(), 'lockstep-cli-'));

/** Runs the command line as a user does, in a directory without a configuration. */
function lockstep(...args: readonly string[]): { code: number | null; stdout: string; stderr: string } {
  // Variables of whoever runs the tests are not those of the user under test.
  const env = { PATH: process.env['PATH'], HOME: directory };
  const result = spawnSync(process.execPath, [join(root, 'src', 'main.ts'), ...args], {
    cwd: directory,
    env,
    encoding: 'utf8',
  });
  return { code: result.status, stdout: result.stdout, stderr: result.stderr };
}

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

describe('exit codes', () => {
  it('0: the version, which is that of the package', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    expect(lockstep('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
    expect(lockstep('run', '--help').code).toBe(0);
  });

  it.each([[['run', '--nope']], [[]]])('2: wrong usage %j', (args) => {
    const { code, stdout, stderr } = lockstep(...args);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).not.toBe('');
  });

  it.each([
    ['no number', ['first', '--why', 'x', '--status', 'IGNORED'], 'expected the number of a finding'],
    ['no reason', ['7', '--status', 'IGNORED'], '--why'],
    ['neither action nor status', ['7', '--why', 'x'], '--action APPLY_SOURCE'],
    ['both', ['7', '--why', 'x', '--status', 'IGNORED', '--action', 'KEEP_TARGET'], 'either'],
    ['a fix without a patch', ['7', '--why', 'x', '--action', 'CUSTOM_FIX'], '--patch'],
    ['a patch without a fix', ['7', '--why', 'x', '--action', 'KEEP_TARGET', '--patch', 'f'], '--patch'],
    [
      'a patch that is not there',
      ['7', '--why', 'x', '--action', 'CUSTOM_FIX', '--patch', '/no/file'],
      "can't be read",
    ],
  ])('2: reconcile resolve with %s', (_, args, said) => {
    const { code, stderr } = lockstep('reconcile', 'resolve', ...args);
    expect(stderr).toContain(said);
    expect(code).toBe(2);
  });

  it('78: a configuration that is missing or wrong, with key, value and remedy on standard error', () => {
    expect(lockstep('run')).toMatchObject({ code: 78, stdout: '' });
    const path = file('wrong.yaml', 'kafka: { groupid: x }\ntables: []\n');
    const { code, stderr } = lockstep('run', '-c', path);
    expect(code).toBe(78);
    expect(stderr).toContain('kafka.groupid (wrong.yaml:1)');
    expect(stderr).toContain('Did you mean kafka.groupId?');
    expect(stderr).toContain('tables (wrong.yaml:2)');
  });

  it('1: doctor finds a fault, and says so in one document', () => {
    const path = file('fault.yaml', 'kafka: { groupid: x }\ntables: []\n');
    const { code, stdout } = lockstep('doctor', '-c', path, '--json');
    expect(code).toBe(1);
    const diagnosis = JSON.parse(stdout) as {
      ok: boolean;
      checks: { id: string; status: string; remedy: string | null }[];
    };
    expect(diagnosis.ok).toBe(false);
    expect(diagnosis.checks.filter(({ status }) => status === 'fault').map(({ id }) => id)).toEqual([
      'configuration',
      'configuration',
    ]);
    expect(diagnosis.checks.filter(({ status }) => status === 'ok')).toEqual([]);
    for (const id of [
      'kafka.reachable',
      'postgres.reachable',
      'cassandra.reachable',
      'mapping.target',
      'agent.health',
    ]) {
      expect(diagnosis.checks).toContainEqual(expect.objectContaining({ id, status: 'skipped' }));
    }
  });

  it('1: commands say which system can not be reached, where, and what to do', async () => {
    const path = file(
      'unreachable.yaml',
      `kafka: { brokers: ["127.0.0.1:1"] }
target: { postgres: { url: "postgres://me:hush@127.0.0.1:2/shop" } }
tables: [{ source: shop.a, topic: t, target: public.a, schema: { columns: { id: int }, partitionKey: [id] } }]`,
    );
    const commands = ['dlq list', 'dlq show 1', 'dlq redrive', 'shards list', 'reconcile windows'];
    const ended = await Promise.all(
      commands.map(async (command) => {
        const args = [join(root, 'src', 'main.ts'), ...command.split(' '), '-c', path, '--json'];
        const child = spawn(process.execPath, args, { cwd: directory, env: { PATH: process.env['PATH'] } });
        const [stdout, stderr, [code]] = await Promise.all([
          text(child.stdout),
          text(child.stderr),
          once(child, 'close'),
        ]);
        return { command, code: code as unknown, stdout, stderr };
      }),
    );
    for (const { command, code, stdout, stderr } of ended) {
      expect([command, code]).toEqual([command, 1]);
      expect(stderr).toContain('PostgreSQL at postgres://me:***@127.0.0.1:2/shop can not be reached');
      expect(stderr).toContain('target.postgres.url');
      expect(stderr).not.toContain('hush');
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'POSTGRES_UNREACHABLE' } });
    }
    expect(ended[2]?.stderr).toContain('Kafka at 127.0.0.1:1 can not be reached');
  });

  it.each<[ErrorKind, number]>([
    ['config', 78],
    ['usage', 2],
    ['bug', 70],
    ['transient', 1],
    ['batch', 1],
    ['row', 1],
  ])('of an error of kind %s is %i', (kind, code) => {
    expect(exitCodeOf(new LockstepError('x', { code: 'X', kind }))).toBe(code);
  });

  it('of what nobody raised on purpose is 70', () => {
    expect(exitCodeOf(new TypeError('x'))).toBe(70);
    // An error that explains itself, of a room that has a class of its own.
    expect(exitCodeOf(Object.assign(new Error('x'), { code: 'STACK_BUSY', remedy: 'wait' }))).toBe(1);
  });
});
