/** What the docker provider must remember in the stack's directory; everything else the engine knows. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { messageOf } from '../../shared/errors.ts';
import { PORT_NAMES } from '../native/ports.ts';
import { StackError } from '../stack-error.ts';

const stateSchema = z.strictObject({
  version: z.literal(1),
  provider: z.literal('docker'),
  ports: z.record(z.enum(PORT_NAMES), z.int().min(1).max(65_535)),
  postgresPassword: z.string(),
});

/** The state of a docker stack as written to disk. */
export type DockerState = z.infer<typeof stateSchema>;

/** What all containers, volumes and the network of the stack in `dir` are called after. */
export function stackName(dir: string): string {
  return `lockstep-${createHash('sha256').update(dir).digest('hex').slice(0, 12)}`;
}

/** Reads the state; undefined when the stack has never been up here. */
export function readDockerState(dir: string): DockerState | undefined {
  const path = join(dir, 'state.json');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return stateSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new StackError(
      'STACK_STATE',
      `${path} is not the state of a docker stack of this version: ${messageOf(error)}`,
      'Choose another --dir, or remove it.',
      error,
    );
  }
}

/** Replaces the state. */
export async function writeDockerState(dir: string, state: DockerState): Promise<void> {
  const path = join(dir, 'state.json');
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  await rename(temporary, path);
}
