import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import kafkajs, { type Kafka, type SASLOptions } from 'kafkajs';
import { ConfigurationError, type Configuration } from '../../config/index.ts';
import { createKafkaClient } from '../../consume/index.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../telemetry/logger.ts';

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

function securityOf({ ssl, sasl }: KafkaConfiguration): { ssl?: ConnectionOptions; sasl?: SASLOptions } {
  const tls = tlsOptions(ssl);
  return {
    ...(tls === undefined ? {} : { ssl: tls }),
    ...(sasl === null ? {} : { sasl }),
  };
}

/** The client of the stream, as the configuration describes it. Nothing is connected yet. */
export function kafkaClientOf(configuration: KafkaConfiguration, logger: Logger): Kafka {
  const { brokers, clientId } = configuration;
  return createKafkaClient({ brokers, clientId, logger, ...securityOf(configuration) });
}

/** One quick repetition: whoever asks has a loop of its own, or tells a person. */
const PROBE_RETRIES = { retries: 1, initialRetryTime: 100, maxRetryTime: 200 };
const PROBE_CONNECT_TIMEOUT_MS = 3_000;
const PROBE_REQUEST_TIMEOUT_MS = 10_000;

/** A client that asks and gives up soon, for checks: the stream's keeps trying for a quarter of a minute. */
export function probeClientOf(configuration: KafkaConfiguration, logger: Logger): Kafka {
  const { brokers, clientId } = configuration;
  return new kafkajs.Kafka({
    brokers,
    clientId,
    ...securityOf(configuration),
    connectionTimeout: PROBE_CONNECT_TIMEOUT_MS,
    requestTimeout: PROBE_REQUEST_TIMEOUT_MS,
    retry: PROBE_RETRIES,
    // What fails is reported by whoever asked.
    logCreator:
      () =>
      ({ log, namespace }) => {
        logger.debug({ kafkajs: namespace }, log.message);
      },
  });
}
