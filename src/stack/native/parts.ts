/** The parts of the native stack: four, and two more where there is a second Cassandra node. */
import { PART_NAMES, SECOND_NODE_PARTS, type AnyPartName } from '../stack.ts';
import type { NativeOptions } from './native-options.ts';
import type { ExtraPortName, PortName } from './ports.ts';
import type { NativePart } from './part.ts';
import { agent, agent2 } from './parts/agent.ts';
import { cassandra, cassandra2 } from './parts/cassandra.ts';
import { kafka } from './parts/kafka.ts';
import { postgres } from './parts/postgres.ts';

export const NATIVE_PARTS: Readonly<Record<AnyPartName, NativePart>> = {
  kafka,
  cassandra,
  postgres,
  agent,
  cassandra2,
  agent2,
};

/** The parts that a stack has. */
export function partNames({ nodes = 1 }: NativeOptions): readonly AnyPartName[] {
  return nodes === 1 ? PART_NAMES : [...PART_NAMES, ...SECOND_NODE_PARTS];
}

/** The ports that each part listens on. */
export const PORTS_OF: Readonly<Record<AnyPartName, readonly PortName[]>> = {
  kafka: ['kafka', 'kafkaController', 'kafkaBehindProxy'],
  cassandra: ['cassandra', 'cassandraStorage'],
  postgres: ['postgres'],
  agent: ['agent'],
  // On the first node's ports, at an address of its own.
  cassandra2: [],
  agent2: ['agent2'],
};

/** Ports beyond the usual ones. */
export function extraPorts({ nodes, kafkaProxyPort }: NativeOptions): ExtraPortName[] {
  return [
    ...(kafkaProxyPort === undefined ? [] : ['kafkaBehindProxy' as const]),
    ...(nodes === 2 ? ['agent2' as const] : []),
  ];
}
