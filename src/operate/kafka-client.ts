import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import kafkajs, { type Kafka, type logCreator, type SASLOptions } from 'kafkajs';
import { ConfigurationError, type Configuration } from '../config/index.ts';
import { messageOf } from '../shared/errors.ts';

type TlsConfiguration = Configuration['kafka']['ssl'];

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

/** TLS options of Node for a `ssl` key of the configuration; undefined = no TLS. `key` names it in errors. */
export function tlsOptions(ssl: TlsConfiguration, key: string): ConnectionOptions | undefined {
  if (ssl === false) return undefined;
  if (ssl === true) return {};
  return {
    rejectUnauthorized: ssl.rejectUnauthorized,
    ...(ssl.caFile === null ? {} : { ca: readPem(ssl.caFile, `${key}.caFile`) }),
    ...(ssl.certFile === null ? {} : { cert: readPem(ssl.certFile, `${key}.certFile`) }),
    ...(ssl.keyFile === null ? {} : { key: readPem(ssl.keyFile, `${key}.keyFile`) }),
    ...(ssl.serverName === null ? {} : { servername: ssl.serverName }),
  };
}

/** Retries inside kafkajs before it reports a failure; the loops above it repeat for ever with their own back-off. */
const KAFKAJS_RETRIES = 2;

/** A kafkajs client as the configuration describes it. Nothing is connected yet. */
export function createKafka(configuration: Configuration['kafka'], logs: logCreator): Kafka {
  const { brokers, clientId, sasl, connectionTimeout, requestTimeout } = configuration;
  const tls = tlsOptions(configuration.ssl, 'kafka.ssl');
  return new kafkajs.Kafka({
    brokers,
    clientId,
    connectionTimeout,
    requestTimeout,
    authenticationTimeout: connectionTimeout,
    logCreator: logs,
    retry: { retries: KAFKAJS_RETRIES },
    ...(tls === undefined ? {} : { ssl: tls }),
    // The union of kafkajs pairs each mechanism with the same two fields.
    ...(sasl === null ? {} : { sasl: sasl as SASLOptions }),
  });
}
