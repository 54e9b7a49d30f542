-- Rows to be read again from the source (DESIGN §4).

-- Column name -> slot of the read sequence of a multi-cell column, beside its slot for the newest event time.
ALTER TABLE {schema}._cdc_tables ADD COLUMN read_ordinals jsonb NOT NULL DEFAULT '{}';

-- Orders the reads of a row: drawn after the last event that a read serves and before the read starts.
CREATE SEQUENCE {schema}._cdc_read_sequence AS bigint MINVALUE 1;
