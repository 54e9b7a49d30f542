/** The four parts of the native stack. */
import type { PartName } from '../stack.ts';
import type { NativePart } from './part.ts';
import { agent } from './parts/agent.ts';
import { cassandra } from './parts/cassandra.ts';
import { kafka } from './parts/kafka.ts';
import { postgres } from './parts/postgres.ts';

export const NATIVE_PARTS: Readonly<Record<PartName, NativePart>> = { kafka, cassandra, postgres, agent };
