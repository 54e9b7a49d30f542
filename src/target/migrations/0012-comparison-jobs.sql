-- Comparisons as work that members share (DESIGN §7): ranges and what each of them showed, which run saw which finding,
-- where incremental comparisons go on, and the budget that all members read the source by.
CREATE INDEX _cdc_jobs_started ON {schema}._cdc_jobs (kind, started_at);

-- A range is scanned by whoever takes it; the verdict is made from those that say SCANNED and from no others.
CREATE TABLE {schema}._cdc_job_ranges (
  job_id   uuid NOT NULL REFERENCES {schema}._cdc_jobs (id) ON DELETE CASCADE,
  -- the table's rows, or those of its static columns
  side     text NOT NULL CHECK (side IN ('rows', 'statics')),
  part     integer NOT NULL,
  plan     jsonb NOT NULL,
  -- UNSCANNED: given up on; the run says so
  status   text NOT NULL DEFAULT 'DUE' CHECK (status IN ('DUE', 'SCANNED', 'UNSCANNED')),
  -- scans that failed; workers that were lost are not counted
  failures integer NOT NULL DEFAULT 0,
  result   jsonb,
  -- rows that differed and whose keys are kept in the result
  suspects integer NOT NULL DEFAULT 0,
  reason   text,
  worker   text,
  ended_at timestamptz,
  PRIMARY KEY (job_id, side, part)
);

CREATE TABLE {schema}._cdc_job_findings (
  job_id     uuid NOT NULL,
  finding_id bigint NOT NULL,
  PRIMARY KEY (job_id, finding_id)
);

-- Every write before this time (µs) was compared by a run that covered its whole table.
CREATE TABLE {schema}._cdc_verified (
  table_id    integer PRIMARY KEY,
  until_us    bigint NOT NULL,
  job_id      uuid NOT NULL,
  verified_at timestamptz NOT NULL DEFAULT now()
);

-- When the source may be read next; whoever reads rows moves it on by what they cost.
CREATE TABLE {schema}._cdc_scan_budget (
  name    text PRIMARY KEY,
  free_at timestamptz NOT NULL
);
