-- What a comparison found, beside how far it came.
ALTER TABLE {schema}._cdc_jobs
  ADD COLUMN verdict text CHECK (verdict IN ('PASS', 'DRIFT', 'INCONCLUSIVE')),
  ADD COLUMN report jsonb;
