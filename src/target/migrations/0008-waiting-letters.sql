-- Dead letters that another row may mend are tried again by themselves (DESIGN §5 "Errors").

-- Null = a moment after the first failure.
ALTER TABLE {schema}._cdc_dead_letters ADD COLUMN next_try_at timestamptz;
CREATE INDEX _cdc_dead_letters_waiting ON {schema}._cdc_dead_letters (topic, partition, id) WHERE status = 'waiting';

-- Null = tried by itself, not by a job.
ALTER TABLE {schema}._cdc_dead_letter_attempts ALTER COLUMN job_id DROP NOT NULL;
