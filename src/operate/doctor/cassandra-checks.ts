import type { Client } from 'cassandra-driver';
import type { SourceTable } from '../../catalog/source-table.ts';
import type { Configuration } from '../../config/index.ts';
import { messageOf } from '../../shared/errors.ts';
import { keysOfRing, ringOf } from '../../source/heartbeat-table.ts';
import type { HeartbeatProbe } from './heartbeat-checks.ts';
import { prepareSource } from '../../source/rule-query.ts';
import { counted, fault, ok, skipped, warn, type Check, type Finding } from './check.ts';

/** Settings of one node, as `system_views.settings` has them. */
export interface NodeSettings {
  readonly node: string;
  readonly settings: ReadonlyMap<string, string>;
}

/** What the checks ask of Cassandra; tests answer without one. */
export interface CassandraProbe extends HeartbeatProbe {
  connect(): Promise<{ readonly version: string; readonly nodes: number; readonly down: readonly string[] }>;
  settings(): Promise<readonly NodeSettings[]>;
  /** `keyspace.table.column` of every vector column of the cluster. */
  vectorColumns(): Promise<readonly string[]>;
  readKeyspace(keyspace: string): Promise<readonly SourceTable[]>;
  /** gc_grace_seconds by table name. */
  gcGraceSeconds(keyspace: string): Promise<ReadonlyMap<string, number>>;
  /** Has it look at the query of a rule. Rejects with what it does not like. */
  prepare(cql: string): Promise<void>;
  isConnected(): boolean;
  close(): Promise<void>;
}

const SETTINGS_CQL =
  "SELECT name, value FROM system_views.settings WHERE name IN ('cdc_enabled', 'cdc_on_repair_enabled')";
const GC_GRACE_CQL = 'SELECT table_name, gc_grace_seconds FROM system_schema.tables WHERE keyspace_name = ?';
const TABLE_CDC_CQL = 'SELECT cdc FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?';
const TABLE_COLUMNS_CQL =
  'SELECT column_name, type FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?';
const COLUMNS_CQL = 'SELECT keyspace_name, table_name, column_name, type FROM system_schema.columns';

/** The probe behind which a real Cassandra is. The client is connected by `connect`. */
export function createCassandraProbe(
  connect: () => Promise<Client>,
  readSchema: (client: Client, keyspace: string) => Promise<readonly SourceTable[]>,
): CassandraProbe {
  let client: Client | null = null;
  const connected = (): Client => {
    if (client === null) throw new Error('not connected');
    return client;
  };
  return {
    async connect() {
      client = await connect();
      const local = await client.execute('SELECT release_version FROM system.local');
      const hosts = client.hosts.values();
      return {
        version: String(local.first()['release_version']),
        nodes: hosts.length,
        down: hosts.filter((host) => !host.isUp()).map((host) => host.address),
      };
    },
    async settings() {
      const nodes = connected()
        .hosts.values()
        .filter((host) => host.isUp());
      // Virtual tables are each node's own: the question has to go to every one of them.
      return Promise.all(
        nodes.map(async (host) => {
          const rows = await connected().execute(SETTINGS_CQL, [], { host });
          const entries = rows.rows.map((row): [string, string] => [String(row['name']), String(row['value'])]);
          return { node: host.address, settings: new Map(entries) };
        }),
      );
    },
    async vectorColumns() {
      const found: string[] = [];
      for await (const row of await connected().execute(COLUMNS_CQL)) {
        const type = String(row['type']);
        if (!/\bvector</i.test(type) && !type.includes('VectorType')) continue;
        found.push([row['keyspace_name'], row['table_name'], row['column_name']].map(String).join('.'));
      }
      return found;
    },
    readKeyspace: (keyspace) => readSchema(connected(), keyspace),
    async gcGraceSeconds(keyspace) {
      const rows = await connected().execute(GC_GRACE_CQL, [keyspace], { prepare: true });
      return new Map(rows.rows.map((row) => [String(row['table_name']), Number(row['gc_grace_seconds'])]));
    },
    async heartbeats(table, dataCenter) {
      const name = table.split('.');
      const tables = await connected().execute(TABLE_CDC_CQL, name, { prepare: true });
      if (tables.rowLength === 0) return null;
      const columns = await connected().execute(TABLE_COLUMNS_CQL, name, { prepare: true });
      const ring = ringOf(connected(), table, dataCenter);
      return {
        columns: new Map(columns.rows.map((row) => [String(row['column_name']), String(row['type'])])),
        cdc: tables.first()['cdc'] === true,
        replicas: ring.replicas('0')?.length ?? 0,
        nodes: keysOfRing(ring),
      };
    },
    prepare: (cql) => prepareSource(connected(), cql),
    isConnected: () => client !== null,
    close: async () => {
      await client?.shutdown();
    },
  };
}

function nodeFindings({ node, settings }: NodeSettings): readonly Finding[] {
  const findings: Finding[] = [];
  if (settings.get('cdc_enabled') !== 'true') {
    findings.push(
      fault(
        `cdc_enabled is ${settings.get('cdc_enabled') ?? 'unknown'}: this node keeps nothing for the capture agent`,
        'Set cdc_enabled: true in cassandra.yaml and restart the node.',
        node,
      ),
    );
  }
  if (settings.get('cdc_on_repair_enabled') !== 'false') {
    findings.push(
      fault(
        `cdc_on_repair_enabled is ${settings.get('cdc_on_repair_enabled') ?? 'true by default'}: streamed old cells come again under a newer time`,
        'Set cdc_on_repair_enabled: false in cassandra.yaml and restart the node.',
        node,
      ),
    );
  }
  return findings.length === 0 ? [ok('cdc_enabled is on, cdc_on_repair_enabled is off', node)] : findings;
}

function tableFinding(name: string, table: SourceTable | undefined, declared: boolean): Finding {
  if (table === undefined) {
    return fault('the source has no such table', 'Correct tables[].source, or create the table WITH cdc = true.', name);
  }
  if (table.cdc === false) {
    return fault('cdc is off: its changes are not captured', `ALTER TABLE ${name} WITH cdc = true;`, name);
  }
  const notes = [
    'cdc is on',
    ...(table.defaultTtlSeconds > 0
      ? [`rows expire after ${table.defaultTtlSeconds} s; expiry makes no event and is carried out here`]
      : []),
    ...(declared ? ['the schema declared in the configuration is used, not this one'] : []),
    ...(table.columns.some(({ kind }) => kind === 'static') ? ['static columns make no events'] : []),
  ];
  return ok(notes.join('; '), name);
}

const DAY_MS = 86_400_000;

/** H > ledger and DLQ retention + gc_grace: whatever can still arrive must meet the tombstones of its time. */
function horizonFinding(source: string, graceSeconds: number, retention: Configuration['retention']): Finding {
  const { horizon, ledger, deadLetters } = retention;
  const neededMs = Math.max(ledger, deadLetters) + graceSeconds * 1000;
  const days = (ms: number) => `${Math.round((ms / DAY_MS) * 10) / 10} d`;
  if (horizon > neededMs)
    return ok(`gc_grace_seconds ${graceSeconds}: the horizon of ${days(horizon)} is enough`, source);
  return fault(
    `gc_grace_seconds ${graceSeconds} and the longest retention make ${days(neededMs)}, the horizon is ${days(horizon)}`,
    `Set retention.horizon to more than ${days(neededMs)}, or shorten retention.ledger and retention.deadLetters.`,
    source,
  );
}

/** Cassandra: reachable, capture switched on, hazards that its capture agent is known for. */
export function cassandraChecks(configuration: () => Configuration, probe: () => CassandraProbe): readonly Check[] {
  return [
    {
      id: 'cassandra.reachable',
      needs: ['configuration'],
      async run() {
        const { cassandra } = configuration().source;
        if (cassandra === null) {
          return [skipped('source.cassandra is not configured: declared schemas are used, nothing can be re-read')];
        }
        const subject = cassandra.contactPoints.join(',');
        try {
          const { version, nodes, down } = await probe().connect();
          const summary = `version ${version}, ${counted(nodes, 'node')}`;
          if (down.length === 0) return [ok(summary, subject)];
          return [
            warn(`${summary}; down or not reachable from here: ${down.join(', ')}`, 'Bring the nodes back.', subject),
          ];
        } catch (error) {
          const remedy =
            'Start Cassandra or correct source.cassandra (contactPoints, localDataCenter, username, password).';
          return [fault(`Cassandra can not be reached: ${messageOf(error)}`, remedy, subject)];
        }
      },
    },
    {
      id: 'cassandra.cdc_settings',
      needs: ['cassandra.reachable'],
      run: async () => (await probe().settings()).flatMap(nodeFindings),
    },
    {
      id: 'cassandra.tables',
      needs: ['cassandra.reachable'],
      async run() {
        const findings: Finding[] = [];
        const keyspaces = new Map<string, readonly SourceTable[]>();
        for (const { source, schema } of configuration().tables) {
          const [keyspace = '', name] = source.split('.');
          const tables = keyspaces.get(keyspace) ?? (await probe().readKeyspace(keyspace));
          keyspaces.set(keyspace, tables);
          findings.push(
            tableFinding(
              source,
              tables.find((table) => table.name === name),
              schema !== null,
            ),
          );
        }
        return findings;
      },
    },
    {
      id: 'cassandra.horizon',
      needs: ['cassandra.reachable'],
      async run() {
        const { tables, retention } = configuration();
        const findings: Finding[] = [];
        const keyspaces = new Map<string, ReadonlyMap<string, number>>();
        for (const { source } of tables) {
          const [keyspace = '', name = ''] = source.split('.');
          const graces = keyspaces.get(keyspace) ?? (await probe().gcGraceSeconds(keyspace));
          keyspaces.set(keyspace, graces);
          const grace = graces.get(name);
          if (grace !== undefined) findings.push(horizonFinding(source, grace, retention));
        }
        return findings.length === 0 ? [skipped('no table of the source is known')] : findings;
      },
    },
    {
      id: 'cassandra.vector_columns',
      needs: ['cassandra.reachable'],
      async run() {
        const columns = await probe().vectorColumns();
        if (columns.length === 0) return [ok('none')];
        return [
          warn(
            'vector columns keep the capture agent from reading the schema: tables and columns added later are not captured',
            'Restart the agent after every schema change, or keep vectors in a cluster of their own; reconcile regularly.',
            columns.join(', '),
          ),
        ];
      },
    },
  ];
}
