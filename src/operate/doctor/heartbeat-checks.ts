import type { Configuration } from '../../config/index.ts';
import { HEARTBEAT_COLUMNS, type HeartbeatNode } from '../../source/heartbeat-table.ts';
import { HEARTBEAT_TARGET } from '../heartbeats/heartbeat-table-mapping.ts';
import { counted, fault, ok, skipped, warn, type Check, type Finding } from './check.ts';
import type { PostgresProbe } from './postgres-checks.ts';

/** The heartbeat table as the source has it; null where it has none. */
export interface HeartbeatTableFacts {
  /** CQL type by column. */
  readonly columns: ReadonlyMap<string, string>;
  readonly cdc: boolean;
  /** Copies of a partition over the whole cluster. */
  readonly replicas: number;
  /** Nodes of the captured data centre, each with the partition key that falls to it. */
  readonly nodes: readonly HeartbeatNode[];
}

/** What the checks ask of Cassandra. */
export interface HeartbeatProbe {
  heartbeats(table: string, dataCenter: string): Promise<HeartbeatTableFacts | null>;
}

/** Older than this a heartbeat says that the capture of its node stands still. */
const SILENT_S = 120;
const CREATE = 'lockstep schema apply creates it; stop the capture agents before it, or restart them after.';

function tableFindings(table: string, facts: HeartbeatTableFacts | null): readonly Finding[] {
  if (facts === null) return [fault('the source has no such table', CREATE, table)];
  const findings: Finding[] = [];
  const wrong = Object.entries(HEARTBEAT_COLUMNS).filter(([name, type]) => facts.columns.get(name) !== type);
  if (wrong.length > 0) {
    const wanted = wrong.map(([name, type]) => `${name} ${type}`).join(', ');
    findings.push(fault(`it is no table of heartbeats: ${wanted} is missing`, `DROP TABLE ${table}; ${CREATE}`, table));
  }
  if (!facts.cdc) {
    findings.push(fault('cdc is off: heartbeats are not captured', `ALTER TABLE ${table} WITH cdc = true;`, table));
  }
  if (facts.replicas !== 1) {
    findings.push(
      fault(
        `its keyspace has ${counted(facts.replicas, 'replica')}: a heartbeat of one node may come through the agent of another and proves nothing`,
        'Give the heartbeats a keyspace of their own with one replica in the captured data centre.',
        table,
      ),
    );
  }
  const without = facts.nodes.filter(({ key }) => key === null).map(({ node }) => node);
  if (without.length > 0) {
    findings.push(
      fault(
        `no partition falls to ${without.join(', ')}`,
        'Replicate the keyspace of the heartbeats in the data centre of source.cassandra.localDataCenter.',
        table,
      ),
    );
  }
  return findings.length > 0 ? findings : [ok(`a partition for each of ${counted(facts.nodes.length, 'node')}`, table)];
}

function arrivalFinding({ node, key }: HeartbeatNode, ages: ReadonlyMap<string, number>): Finding {
  const age = key === null ? undefined : ages.get(key);
  const remedy =
    'Look at lockstep run and at the capture agent of this node; an agent that is older than the table has to be restarted.';
  if (age === undefined) return warn('no heartbeat has come through its capture yet', remedy, node);
  if (age <= SILENT_S) return ok(`heard ${Math.max(0, Math.round(age))} s ago`, node);
  return warn(`no heartbeat has come through its capture for ${Math.round(age)} s`, remedy, node);
}

/** Heartbeats: the table in the source, and whether every node's capture lets them through. */
export function heartbeatChecks(
  configuration: () => Configuration,
  probe: () => HeartbeatProbe,
  postgres: () => PostgresProbe,
): readonly Check[] {
  let nodes: readonly HeartbeatNode[] = [];
  return [
    {
      id: 'cassandra.heartbeats',
      needs: ['cassandra.reachable'],
      async run() {
        const { reconciliation, source } = configuration();
        const { heartbeats } = reconciliation;
        if (heartbeats === null || source.cassandra === null) {
          return [
            skipped(
              'no heartbeats are configured: what the capture still holds is guessed from reconciliation.captureDelay',
              'Fill in reconciliation.heartbeats.',
            ),
          ];
        }
        const facts = await probe().heartbeats(heartbeats.table, source.cassandra.localDataCenter);
        nodes = facts?.nodes ?? [];
        return tableFindings(heartbeats.table, facts);
      },
    },
    {
      id: 'capture.heartbeats',
      needs: ['cassandra.heartbeats', 'postgres.reachable'],
      async run() {
        const { reconciliation, target } = configuration();
        if (reconciliation.heartbeats === null) return [skipped('no heartbeats are configured')];
        const { controlSchema } = target.postgres;
        const [found] = await postgres().query(`SELECT to_regclass(format('%I.%I', $1::text, $2::text)) AS name`, [
          controlSchema,
          HEARTBEAT_TARGET,
        ]);
        if ((found?.['name'] ?? null) === null) return [ok('none yet: lockstep run begins to write them')];
        const rows = await postgres().query(
          `SELECT range_key, extract(epoch FROM clock_timestamp() - beat)::text AS age FROM "${controlSchema.replaceAll('"', '""')}".${HEARTBEAT_TARGET}`,
        );
        const ages = new Map(rows.map((row) => [row['range_key'] ?? '', Number(row['age'])]));
        return nodes.map((node) => arrivalFinding(node, ages));
      },
    },
  ];
}
