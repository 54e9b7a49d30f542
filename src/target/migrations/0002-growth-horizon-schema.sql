-- Growth of a topic, the horizon behind which memory is purged, and schema changes while running (DESIGN §5).

-- growing: keys may be under way in two shards, so every writer of the table is exclusive. grown_until: when that ended;
-- queued work from before may belong to a row that another shard carries now.
ALTER TABLE {schema}._cdc_offsets ADD COLUMN growing boolean NOT NULL DEFAULT false, ADD COLUMN grown_until timestamptz;

-- One row while a topic grows. ends: log ends by partition, taken once producers must have learned of the new partitions.
CREATE TABLE {schema}._cdc_growth (
  topic       text COLLATE "C" NOT NULL,
  incarnation integer NOT NULL,
  grown_at    timestamptz NOT NULL,
  ends        bigint[],
  PRIMARY KEY (topic, incarnation)
);

ALTER TABLE {schema}._cdc_queue ADD COLUMN queued_at timestamptz NOT NULL DEFAULT now();

ALTER TABLE {schema}._cdc_tables
  -- newest write time of a purged tombstone or memory: what is at or below it can't be merged by version any more
  ADD COLUMN purged_until bigint,
  -- column name -> write time at and below which its cells are gone, because a column of that name was dropped then
  ADD COLUMN floors jsonb NOT NULL DEFAULT '{}',
  -- columns that were dropped and added again, and whose old values are not cleared out of the target yet
  ADD COLUMN clearing jsonb NOT NULL DEFAULT '[]',
  -- Cassandra's table ID: another one means that the table was dropped and created again
  ADD COLUMN source_id text;
