-- Delivery windows (DESIGN §7 A): the last verification of each window of write time.
CREATE TABLE {schema}._cdc_windows (
  table_id      integer NOT NULL,
  start_ms      bigint NOT NULL,
  end_ms        bigint NOT NULL,
  -- horizons at which it has been verified
  rounds        integer NOT NULL,
  changelog     bigint NOT NULL,
  processed     bigint NOT NULL,
  filtered      bigint NOT NULL,
  dead_lettered bigint NOT NULL,
  missing       bigint NOT NULL,
  unexpected    bigint NOT NULL,
  -- changes that were not in the changelog at an earlier verification, summed
  late          bigint NOT NULL DEFAULT 0,
  -- changes that were missing and have been replayed, summed
  replayed      bigint NOT NULL DEFAULT 0,
  -- how often a window that had passed was found changed
  reopened      integer NOT NULL DEFAULT 0,
  verdict       text NOT NULL CHECK (verdict IN ('PASS', 'DRIFT', 'INCONCLUSIVE')),
  reason        text,
  verified_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (table_id, start_ms),
  CHECK (changelog = processed + filtered + dead_lettered + missing)
);
CREATE INDEX _cdc_windows_verdict ON {schema}._cdc_windows (verdict, table_id) WHERE verdict <> 'PASS';
