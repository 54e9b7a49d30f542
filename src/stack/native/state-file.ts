/**
 * `state.json` in the stack's directory: what was chosen and what is running. Written whole, by rename, so that a
 * reader never sees half of it. Holds the PostgreSQL password, so only its owner may read it.
 */
import { readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { messageOf } from '../../shared/errors.ts';
import { StackError } from '../stack-error.ts';
import { PART_NAMES, SECOND_NODE_PARTS } from '../stack.ts';
import type { PortName } from './ports.ts';

const runningPart = z.strictObject({
  pid: z.int().positive(),
  startTime: z.string(),
  /** Which start of which owner spawned it; the guardian of that owner may end it. Null: detached. */
  owner: z.string().nullable(),
});

const port = z.int().min(1).max(65_535);

const stateSchema = z.strictObject({
  version: z.literal(1),
  provider: z.literal('native'),
  ports: z.strictObject({
    kafka: port,
    kafkaController: port,
    cassandra: port,
    cassandraStorage: port,
    postgres: port,
    agent: port,
    kafkaBehindProxy: port.optional(),
    agent2: port.optional(),
  } satisfies Record<PortName, z.ZodType>),
  postgresPassword: z.string(),
  /** Where PostgreSQL's data is: usually below the directory, elsewhere when its user can't get there. */
  postgresDataDir: z.string(),
  kafkaClusterId: z.string(),
  parts: z.partialRecord(z.enum([...PART_NAMES, ...SECOND_NODE_PARTS]), runningPart),
});

/** The state of a native stack as written to disk. */
export type NativeState = z.infer<typeof stateSchema>;
export type RunningPart = z.infer<typeof runningPart>;

export function stateFile(dir: string): string {
  return join(dir, 'state.json');
}

/** Reads the state; undefined when the stack has never been up here. Throws `STACK_STATE` when it is not ours. */
export function readState(dir: string): NativeState | undefined {
  const path = stateFile(dir);
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
      `${path} is not the state of a native stack of this version: ${messageOf(error)}`,
      `Stop what runs there with the Lockstep that started it, then remove ${dir} or choose another --dir.`,
      error,
    );
  }
}

/** Replaces the state. */
export async function writeState(dir: string, state: NativeState): Promise<void> {
  const path = stateFile(dir);
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  await rename(temporary, path);
}
