-- Rows to be read again from the source (DESIGN §4).

-- Column name -> slot of the read sequence of a multi-cell column, beside its slot for the newest event time.
ALTER TABLE {schema}._cdc_tables ADD COLUMN read_ordinals jsonb NOT NULL DEFAULT '{}';

-- Orders the reads of a row: drawn after the last event that a read serves and before the read starts.
CREATE SEQUENCE {schema}._cdc_read_sequence AS bigint MINVALUE 1;

-- What waits for the source, for its depth and age; the queue may hold millions of expiries beside it.
CREATE INDEX _cdc_queue_rereads ON {schema}._cdc_queue (table_id, queued_at) WHERE kind IN ('re-read', 'existence');
