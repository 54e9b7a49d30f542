/** The Debezium JDBC sink on Kafka Connect standalone, with the settings that measured best. */
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import getPort from 'get-port';
import { parseProperties, renderProperties } from '../../src/stack/connector-files.ts';
import { findJava } from '../../src/stack/native/java.ts';
import { startChild, type Child } from '../support/child.ts';
import type { PeerJars } from './jars.ts';

export interface JdbcSinkOptions {
  readonly jars: PeerJars;
  /** Fresh directory for its configuration, offsets and log. */
  readonly dir: string;
  readonly broker: string;
  readonly postgresUrl: string;
  readonly topic: string;
  readonly table: string;
}

async function writeProperties(
  file: string,
  shipped: string,
  filledIn: Readonly<Record<string, string>>,
): Promise<string> {
  const properties = parseProperties(readFileSync(join(import.meta.dirname, shipped), 'utf8'));
  for (const [key, value] of Object.entries(filledIn)) properties.set(key, value);
  await writeFile(file, renderProperties(properties));
  return file;
}

export async function startJdbcSink(options: JdbcSinkOptions): Promise<Child> {
  const { dir, jars } = options;
  await mkdir(dir, { recursive: true });
  const url = new URL(options.postgresUrl);
  const worker = await writeProperties(join(dir, 'worker.properties'), 'connect-worker.properties', {
    'bootstrap.servers': options.broker,
    'offset.storage.file.filename': join(dir, 'offsets'),
    'plugin.path': jars.plugins,
    listeners: `http://127.0.0.1:${await getPort({ host: '127.0.0.1' })}`,
  });
  const sink = await writeProperties(join(dir, 'sink.properties'), 'jdbc-sink.properties', {
    topics: options.topic,
    'connection.url': `jdbc:postgresql://${url.host}${url.pathname}?reWriteBatchedInserts=true`,
    'collection.name.format': options.table,
  });
  const { command } = await findJava();
  return startChild(
    'Kafka Connect',
    command,
    [
      '-Xms256m',
      // What Kafka's own start script gives Connect.
      '-Xmx2g',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      '-cp',
      join(jars.connect, '*'),
      'org.apache.kafka.connect.cli.ConnectStandalone',
      worker,
      sink,
    ],
    join(dir, 'connect.log'),
  );
}
