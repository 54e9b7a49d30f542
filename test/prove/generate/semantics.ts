/**
 * Which parts of Cassandra's data model the generator uses. What Lockstep does not claim yet, or the connector is known
 * to lose, is switched off by default, so that a refutation always means something.
 */

/** Everything that can be switched, with what it stands for. */
export const SEMANTICS = {
  'multi-cell': 'non-frozen collections: their updates carry a part of the value and are re-read',
  duration: 'durations: the events count a month as 30 days, so they are re-read',
  'marker-ttl':
    'inserts whose row marker expires unseen: key-only or null-only inserts in a table with TTLs, mixed TTLs',
  'lossy-ties': 'writes of one cell in the same microsecond where PostgreSQL’s form has lost the source’s bytes',
  'schema-change': 'columns added while histories are written (policy `evolve`)',
  statics: 'writes to static columns: they emit nothing and arrive by scans',
} as const;

export type Semantic = keyof typeof SEMANTICS;

/** Histories that the connector is known to lose changes of (connectors/debezium-cassandra/README.md). */
export const HAZARDS = {
  'delete-and-insert': 'a batch that deletes a clustered row and writes it again, later: arrives as the delete alone',
  'mixed-ttls':
    'a batch of several TTLs in one row whose cells all show the same: the row marker’s is another, and in no event',
  'mixed-times': 'a batch of several write times in one partition: every event says the newest',
} as const;

export type Hazard = keyof typeof HAZARDS;

/** What the generator may use. */
export interface Repertoire {
  readonly semantics: ReadonlySet<Semantic>;
  readonly hazards: ReadonlySet<Hazard>;
}

/** What Lockstep claims today. */
export const CLAIMED: readonly Semantic[] = ['schema-change', 'multi-cell', 'duration', 'marker-ttl'];
