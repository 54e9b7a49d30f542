/** The one kafkajs client of a process, as all of Lockstep uses it. */
import kafkajs from 'kafkajs';
import type { Kafka, KafkaConfig } from 'kafkajs';
import type { Logger } from 'pino';
import { registerCodecs } from './codecs.ts';
import { kafkajsLogger } from './kafkajs-logger.ts';

export interface KafkaClientOptions {
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly ssl?: KafkaConfig['ssl'] | undefined;
  readonly sasl?: KafkaConfig['sasl'] | undefined;
  readonly logger: Logger;
  /** What one compressed record batch may unpack to. */
  readonly maxUnpackedBytes?: number;
}

/** A broker that does not answer within this is tried again; a stop waits for no longer either. */
const CONNECTION_TIMEOUT_MS = 3_000;
const REQUEST_TIMEOUT_MS = 20_000;

/** A kafkajs client with our logger and all compression codecs. */
export function createKafkaClient(options: KafkaClientOptions): Kafka {
  registerCodecs(options.maxUnpackedBytes);
  return new kafkajs.Kafka({
    brokers: [...options.brokers],
    clientId: options.clientId,
    ...(options.ssl === undefined ? {} : { ssl: options.ssl }),
    ...(options.sasl === undefined ? {} : { sasl: options.sasl }),
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    enforceRequestTimeout: true,
    // Few, because whoever uses the client retries for ever and says so; kafkajs would be silent for a minute.
    retry: { retries: 3, initialRetryTime: 100, maxRetryTime: 1_000 },
    logLevel: kafkajs.logLevel.INFO,
    logCreator: kafkajsLogger(options.logger),
  });
}
