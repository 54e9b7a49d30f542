/** The heartbeat table beside the configured ones: it comes through the same topics, shards and door as they do. */
import { tableMappingSchema, type TableMapping } from '../../catalog/table-mapping.ts';
import type { Configuration } from '../../config/index.ts';
import { HEARTBEAT_COLUMNS, HEARTBEAT_KEY } from '../../source/heartbeat-table.ts';

/** Where heartbeats arrive, in the control schema. */
export const HEARTBEAT_TARGET = 'lockstep_heartbeats';

/** Its mapping, or null where no heartbeats are configured. The schema is ours, so it is declared and not read. */
export function heartbeatMapping({ reconciliation, target }: Configuration): TableMapping | null {
  const { heartbeats } = reconciliation;
  if (heartbeats === null) return null;
  return tableMappingSchema.parse({
    source: heartbeats.table,
    topic: heartbeats.topic,
    target: `${target.postgres.controlSchema}.${HEARTBEAT_TARGET}`,
    schema: { columns: HEARTBEAT_COLUMNS, partitionKey: [HEARTBEAT_KEY] },
  });
}

/** Every table whose topic is consumed: those of the configuration, and the heartbeats. */
export function streamMappings(configuration: Configuration): readonly TableMapping[] {
  const heartbeats = heartbeatMapping(configuration);
  return heartbeats === null ? configuration.tables : [...configuration.tables, heartbeats];
}
