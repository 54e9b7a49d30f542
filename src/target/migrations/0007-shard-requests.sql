-- A person asks a stopped shard to go on: its owner takes the request up, whoever that is.
ALTER TABLE {schema}._cdc_offsets ADD COLUMN resume_requested_at timestamptz;
