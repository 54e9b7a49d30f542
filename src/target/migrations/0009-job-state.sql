-- Where a job stands, where a number does not tell: a backfill's position in its table.
ALTER TABLE {schema}._cdc_jobs ADD COLUMN state jsonb;
