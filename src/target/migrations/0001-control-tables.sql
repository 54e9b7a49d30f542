-- Control tables of Lockstep (DESIGN §5). {schema} is the control schema, quoted.

CREATE TABLE {schema}._cdc_tables (
  id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  source        text COLLATE "C" NOT NULL UNIQUE,
  target        text NOT NULL UNIQUE,
  topic         text NOT NULL UNIQUE,
  -- column name -> ordinal in _cdc_versions; append-only: a column dropped and added again gets a new one
  ordinals      jsonb NOT NULL,
  next_ordinal  integer NOT NULL,
  registered_at timestamptz NOT NULL DEFAULT now()
);

-- The position is the fence. fillfactor leaves room for HOT updates: one update per batch and shard.
CREATE TABLE {schema}._cdc_offsets (
  topic             text COLLATE "C" NOT NULL,
  incarnation       integer NOT NULL,
  partition         integer NOT NULL,
  next_offset       bigint NOT NULL,
  last_offset       bigint,
  last_timestamp_ms bigint,
  last_hash         bytea,
  owner             text,
  epoch             bigint NOT NULL DEFAULT 0,
  state             text NOT NULL DEFAULT 'running',
  updated_at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, incarnation, partition),
  CHECK (next_offset >= 0)
) WITH (fillfactor = 50);

-- Records that were gone from Kafka before they were read: offsets [from_offset, to_offset).
CREATE TABLE {schema}._cdc_gaps (
  topic       text COLLATE "C" NOT NULL,
  incarnation integer NOT NULL,
  partition   integer NOT NULL,
  from_offset bigint NOT NULL,
  to_offset   bigint NOT NULL,
  after_ms    bigint,
  before_ms   bigint,
  found_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, incarnation, partition, from_offset),
  CHECK (to_offset > from_offset)
);

-- One row per (batch, table): sorted change IDs, 16 bytes each, and one outcome byte each. A row per ID measured −29 %
-- to −49 % of the applied rate. Partitioned by processing day, not by write time: one scattered batch would touch
-- thousands of partitions.
CREATE TABLE {schema}._cdc_ledger (
  processed_at timestamptz NOT NULL DEFAULT now(),
  table_id     integer NOT NULL,
  topic        text COLLATE "C" NOT NULL,
  incarnation  integer NOT NULL,
  partition    integer NOT NULL,
  from_offset  bigint NOT NULL,
  next_offset  bigint NOT NULL,
  records      integer NOT NULL,
  duplicates   integer NOT NULL,
  skipped      integer NOT NULL,
  processed    integer NOT NULL,
  filtered     integer NOT NULL,
  dead_lettered integer NOT NULL,
  min_id       uuid,
  max_id       uuid,
  ids          bytea NOT NULL,
  outcomes     bytea NOT NULL
) PARTITION BY RANGE (processed_at);
ALTER TABLE {schema}._cdc_ledger ALTER COLUMN ids SET STORAGE EXTERNAL;
ALTER TABLE {schema}._cdc_ledger ALTER COLUMN outcomes SET STORAGE EXTERNAL;
CREATE TABLE {schema}._cdc_ledger_default PARTITION OF {schema}._cdc_ledger DEFAULT;
CREATE INDEX _cdc_ledger_ids ON {schema}._cdc_ledger (table_id, min_id, max_id);
CREATE INDEX _cdc_ledger_offsets ON {schema}._cdc_ledger (topic, incarnation, partition, from_offset);

-- Row tombstones and the write times of rows that are gone. deleted_at = −2^63: no row tombstone, only memory.
CREATE TABLE {schema}._cdc_graveyard (
  table_id     integer NOT NULL,
  row_key      text COLLATE "C" NOT NULL,
  deleted_at   bigint NOT NULL,
  versions     bigint[],
  expiries     bigint[],
  processed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (table_id, row_key)
) WITH (fillfactor = 80);

CREATE TABLE {schema}._cdc_range_tombstones (
  table_id      integer NOT NULL,
  partition_key text COLLATE "C" NOT NULL,
  -- {"start": {"values": […], "inclusive": …}, "end": {…}} as canonical text: one entry per pair of bounds
  bounds        text COLLATE "C" NOT NULL,
  write_time    bigint NOT NULL,
  processed_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (table_id, partition_key, bounds)
);

-- Work that a shard owes: values that expire, rows to read again. Written in the batch's transaction, worked off by the
-- shard's owner.
CREATE TABLE {schema}._cdc_queue (
  topic       text COLLATE "C" NOT NULL,
  incarnation integer NOT NULL,
  partition   integer NOT NULL,
  kind        text NOT NULL CHECK (kind IN ('expiry', 're-read', 'existence')),
  due_us      bigint NOT NULL,
  table_id    integer NOT NULL,
  row_key     text COLLATE "C" NOT NULL,
  trigger     jsonb,
  PRIMARY KEY (topic, partition, incarnation, kind, due_us, table_id, row_key)
);

-- Index of the DLQ; the bytes are in the DLQ topic under the same coordinates.
CREATE TABLE {schema}._cdc_dead_letters (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic         text COLLATE "C" NOT NULL,
  incarnation   integer NOT NULL,
  partition     integer NOT NULL,
  "offset"      bigint NOT NULL,
  table_id      integer,
  code          text NOT NULL,
  reason        text NOT NULL,
  path          text NOT NULL,
  change_id     uuid,
  row_key       text,
  status        text NOT NULL CHECK (status IN ('pending', 'waiting', 'redriven', 'discarded')),
  attempts      integer NOT NULL DEFAULT 1,
  sha256        bytea NOT NULL,
  value_bytes   bigint NOT NULL,
  record_ms     bigint NOT NULL,
  first_failed_at timestamptz NOT NULL DEFAULT now(),
  last_failed_at  timestamptz NOT NULL DEFAULT now(),
  UNIQUE (topic, incarnation, partition, "offset")
);
CREATE INDEX _cdc_dead_letters_status ON {schema}._cdc_dead_letters (status, code);
