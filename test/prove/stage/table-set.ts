/** A set of random tables with everything that carries their changes: topics, targets, members, and an agent that knows them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { createTopics } from '../../../src/demo/kafka/kafka.ts';
import { sourceColumns, type ProofColumn } from '../../../src/demo/proof/source-rows.ts';
import { runCommand } from '../../../src/demo/service/run-command.ts';
import { waitFor } from '../../../src/demo/waiting.ts';
import { seededRandom, type Random } from '../../../src/demo/workload/random.ts';
import { EventLog } from '../audit/event-log.ts';
import { isMultiCell, randomValue } from '../generate/cql-type.ts';
import { randomKey } from '../generate/operation.ts';
import { keyText, type Statement } from '../generate/statement.ts';
import { keyspaceDdl, quotedName, tableDdl, tableName, withRanks } from '../generate/table.ts';
import type { GeneratedTable } from '../generate/table.ts';
import { HistoryLog } from './history-log.ts';
import { clusteringRanks } from './clustering-ranks.ts';
import { configuration, Members, topicOf, type Names } from './members.ts';
import { restartAgents, type Site } from './site.ts';
import { SourceSession } from './source-session.ts';

const MAX_PARTITIONS = 4;
/** How long the agent may take to show that it captures a table, and how often it is started again where it does not. */
const CAPTURE_LIMIT_MS = 30_000;
const CAPTURE_TRIES = 3;

/** A table and what the proof reads of it. */
export interface ProvenTable {
  readonly table: GeneratedTable;
  readonly topic: string;
  /** Grows with the table's. */
  readonly columns: ProofColumn[];
}

export interface TableSet {
  readonly names: Names;
  /** For commands beside the members, which log to the other file. */
  readonly configurationFile: string;
  readonly logFile: string;
  readonly tables: readonly ProvenTable[];
  readonly members: Members;
  readonly events: EventLog;
  readonly history: HistoryLog;
  readonly session: SourceSession;
}

/** Options of {@link makeTableSet}. */
export interface TableSetOptions {
  readonly site: Site;
  readonly name: string;
  /** Makes the tables of a keyspace. */
  readonly tables: (keyspace: string) => readonly GeneratedTable[];
  readonly random: Random;
  readonly program: string;
  readonly signal: AbortSignal;
  readonly clockUs: () => bigint;
}

/** Makes a set. The agents are started again: a table with a user-defined type is captured only after that. */
export async function makeTableSet(options: TableSetOptions): Promise<TableSet> {
  const { site, name, random, program, signal, clockUs } = options;
  const names: Names = { set: name, dlqTopic: `${name}.dlq` };
  for (const statement of keyspaceDdl(name, site.nodes)) await site.source.execute(statement);
  const generated: GeneratedTable[] = [];
  for (const unordered of options.tables(name)) {
    const ranks = await clusteringRanks(site.source, unordered);
    generated.push(withRanks(unordered, ranks));
  }
  for (const table of generated) await site.source.execute(tableDdl(table));
  for (const table of generated) {
    await createTopics(site.kafka, [topicOf(site, table)], random.between(1, MAX_PARTITIONS));
  }
  const tables: ProvenTable[] = [];
  for (const table of generated) {
    const columns = await sourceColumns(site.source, table.keyspace, table.name);
    tables.push({ table, topic: topicOf(site, table), columns });
  }
  const history = new HistoryLog();
  const set: TableSet = {
    names,
    configurationFile: join(site.stack.dir, `${name}.yaml`),
    logFile: join(site.stack.dir, `${name}-commands.log`),
    tables,
    members: new Members(site, names, generated, program),
    events: new EventLog(
      site.kafka,
      tables.map(({ topic, columns }) => ({ topic, columns })),
    ),
    history,
    session: new SourceSession(site, history),
  };
  await restartAgents(site);
  await awaitCapture(site, set, clockUs, signal);

  const { configurationFile, logFile } = set;
  await writeFile(configurationFile, stringify(configuration(site, names, generated, 0)), { mode: 0o600 });
  await runCommand(['schema', 'apply', '-c', configurationFile], logFile, signal);
  return set;
}

/** A row with one value of one cell: what the connector captures whatever else the table has. */
function probe(table: GeneratedTable, random: Random, timeUs: bigint): Statement {
  const partition = randomKey(table.partitionKey, random);
  const row = [...partition, ...randomKey(table.clustering, random)];
  const value = table.regular.find(({ type }) => !isMultiCell(type));
  const columns = [...table.partitionKey, ...table.clustering, ...(value === undefined ? [] : [value])];
  const literals = [...row, ...(value === undefined ? [] : [randomValue(value.type, random)])];
  return {
    table,
    cql:
      `INSERT INTO ${tableName(table)} (${columns.map(({ name }) => quotedName(name)).join(', ')}) ` +
      `VALUES (${literals.map(({ literal }) => literal).join(', ')}) USING TIMESTAMP ${timeUs}`,
    unset: 0,
    requestTimeUs: null,
    ttlSeconds: table.defaultTtlSeconds,
    effects: [
      {
        kind: 'write',
        partition: keyText(partition),
        row: keyText(row),
        insert: true,
        columns: value === undefined ? [] : [value.name],
        live: value === undefined ? [] : [value.name],
        ttlSeconds: table.defaultTtlSeconds,
        timeUs,
      },
    ],
    isProbe: true,
  };
}

/** Writes a row to each table until every node's agent has delivered one: without that, nothing else means anything. */
async function awaitCapture(site: Site, set: TableSet, clockUs: () => bigint, signal: AbortSignal): Promise<void> {
  const random = seededRandom(1);
  const captured = ({ topic }: ProvenTable): boolean =>
    new Set(set.events.of(topic).events.map(({ file }) => file)).size >= site.nodes;
  for (let tries = 0; tries < CAPTURE_TRIES; tries += 1) {
    const done = await waitFor(
      async () => {
        await set.events.readOn(signal);
        const waiting = set.tables.filter((each) => !captured(each));
        for (const { table } of waiting) {
          await set.session.write(probe(table, random, clockUs()));
        }
        return waiting.length === 0;
      },
      { limitMs: CAPTURE_LIMIT_MS, everyMs: 500, signal },
    );
    if (done) return;
    await restartAgents(site);
  }
  const missing = set.tables.filter((each) => !captured(each)).map(({ table }) => tableDdl(table));
  throw new Error(`the agent does not capture every table; look at its log. Missing: ${missing.join('; ')}`);
}
