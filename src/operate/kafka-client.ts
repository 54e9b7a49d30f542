import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type { Kafka, SASLOptions } from 'kafkajs';
import { ConfigurationError, type Configuration } from '../config/index.ts';
import { createKafkaClient } from '../consume/index.ts';
import { messageOf } from '../shared/errors.ts';
import type { Logger } from './logger.ts';

type KafkaConfiguration = Configuration['kafka'];

function readPem(path: string, key: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new ConfigurationError(
      [
        {
          code: 'CONFIG_FILE',
          path: key,
          where: path,
          found: messageOf(error),
          expected: 'a readable PEM file',
          remedy: `Correct ${key} or make the file readable for this user.`,
        },
      ],
      error,
    );
  }
}

/** Node's TLS options for `kafka.ssl`; undefined = no TLS. */
function tlsOptions(ssl: KafkaConfiguration['ssl']): ConnectionOptions | undefined {
  if (ssl === false) return undefined;
  if (ssl === true) return {};
  return {
    rejectUnauthorized: ssl.rejectUnauthorized,
    ...(ssl.caFile === null ? {} : { ca: readPem(ssl.caFile, 'kafka.ssl.caFile') }),
    ...(ssl.certFile === null ? {} : { cert: readPem(ssl.certFile, 'kafka.ssl.certFile') }),
    ...(ssl.keyFile === null ? {} : { key: readPem(ssl.keyFile, 'kafka.ssl.keyFile') }),
    ...(ssl.serverName === null ? {} : { servername: ssl.serverName }),
  };
}

/** A Kafka client as the configuration describes it. Nothing is connected yet. */
export function kafkaClientOf(configuration: KafkaConfiguration, logger: Logger): Kafka {
  const { brokers, clientId, sasl } = configuration;
  return createKafkaClient({
    brokers,
    clientId,
    ssl: tlsOptions(configuration.ssl),
    // The union of kafkajs pairs each mechanism with the same two fields.
    sasl: sasl === null ? undefined : (sasl as SASLOptions),
    logger,
  });
}
