/** The development stack: Kafka, Cassandra with its capture agent, and PostgreSQL, on this machine. */
export { DEFAULT_STACK_DIR, openStack, type OpenStackOptions } from './open-stack.ts';
export { PROVIDER_CHOICES, type ProviderChoice } from './provider-choice.ts';
export {
  PART_NAMES,
  SECOND_NODE_PARTS,
  type AnyPartName,
  type Lifetime,
  type PartName,
  type PartState,
  type PartStatus,
  type ProviderName,
  type Stack,
  type StackEndpoints,
  type StackEvent,
  type StackStatus,
  type StopSignal,
  type UpOptions,
} from './stack.ts';
export { StackError, type StackErrorCode } from './stack-error.ts';
