/** The development stack: Kafka, Cassandra with its capture agent, and PostgreSQL, on this machine. */
export { openStack, type OpenStackOptions, type ProviderChoice } from './open-stack.ts';
export {
  PART_NAMES,
  type Lifetime,
  type PartName,
  type PartState,
  type PartStatus,
  type ProviderName,
  type Stack,
  type StackEndpoints,
  type StackEvent,
  type StackStatus,
  type UpOptions,
} from './stack.ts';
export { StackError, type StackErrorCode } from './stack-error.ts';
