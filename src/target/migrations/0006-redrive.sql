-- Writers beside the stream: redriven dead letters, the jobs that do it, and who did what (DESIGN §8, §9).

-- stream: the segments of a shard are contiguous, and delivery is audited by them. Others account for IDs only.
ALTER TABLE {schema}._cdc_ledger ADD COLUMN origin text NOT NULL DEFAULT 'stream';

ALTER TABLE {schema}._cdc_dead_letters ADD COLUMN resolved_at timestamptz;
CREATE INDEX _cdc_dead_letters_table ON {schema}._cdc_dead_letters (table_id, id);

-- What was tried with a dead letter after it was set aside. The first failure is the letter itself.
CREATE TABLE {schema}._cdc_dead_letter_attempts (
  letter_id bigint NOT NULL REFERENCES {schema}._cdc_dead_letters (id) ON DELETE CASCADE,
  at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  job_id    uuid NOT NULL,
  outcome   text NOT NULL CHECK (outcome IN ('applied', 'superseded', 'queued', 'failed')),
  code      text,
  reason    text
);
CREATE INDEX _cdc_dead_letter_attempts_letter ON {schema}._cdc_dead_letter_attempts (letter_id, at);

-- Long work that a person asked for. cursor: what is done; heartbeat_at: a runner that was killed is missed by it.
CREATE TABLE {schema}._cdc_jobs (
  id           uuid PRIMARY KEY,
  kind         text NOT NULL,
  parameters   jsonb NOT NULL,
  status       text NOT NULL CHECK (status IN ('RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
  cursor       bigint NOT NULL DEFAULT 0,
  total        bigint NOT NULL,
  counts       jsonb NOT NULL DEFAULT '{}',
  error        text,
  requested_by text NOT NULL,
  started_at   timestamptz NOT NULL DEFAULT now(),
  heartbeat_at timestamptz NOT NULL DEFAULT now(),
  completed_at timestamptz
);

CREATE TABLE {schema}._cdc_audit_log (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor     text NOT NULL,
  action    text NOT NULL,
  table_id  integer,
  row_key   text,
  reason    text,
  before    jsonb,
  after     jsonb,
  outcome   text NOT NULL
);
