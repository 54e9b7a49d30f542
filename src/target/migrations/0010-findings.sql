-- End state (DESIGN §7 C): proven differences between source and target, and what became of them.
CREATE TABLE {schema}._cdc_findings (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  table_id        integer NOT NULL,
  row_key         text COLLATE "C" NOT NULL,
  type            text NOT NULL CHECK (type IN ('MISSING_IN_POSTGRES', 'MISSING_IN_CASSANDRA', 'DATA_MISMATCH')),
  cause           text NOT NULL,
  -- names of the columns that differ; empty where the row as a whole is missing
  columns         jsonb NOT NULL DEFAULT '[]',
  -- both images when it was last seen; null: no row
  source_image    jsonb,
  target_image    jsonb,
  source_checksum text,
  target_checksum text,
  status          text NOT NULL CHECK (status IN ('PENDING', 'AUTO_RESOLVED', 'MANUAL_RESOLVED', 'IGNORED', 'SUPERSEDED')),
  notes           text,
  resolved_by     text,
  -- the job that saw it last
  job_id          uuid NOT NULL,
  -- how many passes have seen it
  seen            integer NOT NULL DEFAULT 1,
  first_seen_at   timestamptz NOT NULL DEFAULT now(),
  last_seen_at    timestamptz NOT NULL DEFAULT now(),
  resolved_at     timestamptz,
  -- the target's row before and after a repair: what an undo compares with and sets
  before          jsonb,
  after           jsonb,
  undone_at       timestamptz
);
-- One open finding for a row and a type, however often it is seen; also one that somebody has accepted.
CREATE UNIQUE INDEX _cdc_findings_open ON {schema}._cdc_findings (table_id, row_key, type)
  WHERE status IN ('PENDING', 'IGNORED');
CREATE INDEX _cdc_findings_status ON {schema}._cdc_findings (table_id, status, id);
