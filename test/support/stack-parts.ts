/** A native stack of which only the given parts run: for tests of the source that need no capture. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStack, type Stack } from '../../src/stack/index.ts';
import { choosePorts } from '../../src/stack/native/ports.ts';
import { writeState } from '../../src/stack/native/state-file.ts';

export type StackPart = Parameters<Stack['startPart']>[0];

/** Starts the parts in a directory of their own; the caller destroys the stack. */
export async function openStackOf(
  parts: readonly StackPart[],
): Promise<{ readonly stack: Stack; readonly dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'lockstep-parts-'));
  const stackDir = join(dir, 'stack');
  // PostgreSQL runs as somebody else where we are root.
  await chmod(dir, 0o755);
  await mkdir(stackDir);
  // A stack starts single parts only where it has been up before: so it has, with nothing running.
  await writeState(stackDir, {
    version: 1,
    provider: 'native',
    ports: await choosePorts({}, new Set()),
    postgresPassword: randomBytes(12).toString('hex'),
    postgresDataDir: join(stackDir, 'postgres'),
    kafkaClusterId: Buffer.concat([Buffer.from([0]), randomBytes(15)]).toString('base64url'),
    parts: {},
  });
  const stack = await openStack({ provider: 'native', dir: stackDir });
  await Promise.all(parts.map((part) => stack.startPart(part)));
  return { stack, dir };
}
