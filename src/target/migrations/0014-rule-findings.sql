-- Business rules: keys of which source and target say different things, and what became of them.
CREATE TABLE {schema}._cdc_rule_findings (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  rule          text NOT NULL,
  key           text COLLATE "C" NOT NULL,
  kind          text NOT NULL CHECK (kind IN ('MISSING_IN_POSTGRES', 'MISSING_IN_CASSANDRA', 'VALUE_MISMATCH')),
  severity      text NOT NULL CHECK (severity IN ('warning', 'critical')),
  columns       jsonb NOT NULL DEFAULT '[]',
  -- values by column name when it was last seen; null: no such key
  source_values jsonb,
  target_values jsonb,
  status        text NOT NULL CHECK (status IN ('PENDING', 'AUTO_RESOLVED', 'MANUAL_RESOLVED', 'IGNORED', 'SUPERSEDED')),
  notes         text,
  resolved_by   text,
  -- the run that saw it last
  job_id        uuid NOT NULL,
  seen          integer NOT NULL DEFAULT 1,
  first_seen_at timestamptz NOT NULL DEFAULT now(),
  last_seen_at  timestamptz NOT NULL DEFAULT now(),
  resolved_at   timestamptz
);
-- One open finding for a key, however often it is seen; also one that somebody has accepted.
CREATE UNIQUE INDEX _cdc_rule_findings_open ON {schema}._cdc_rule_findings (rule, key) WHERE status IN ('PENDING', 'IGNORED');
CREATE INDEX _cdc_rule_findings_status ON {schema}._cdc_rule_findings (status, rule, id);
