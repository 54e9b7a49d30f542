-- A person may leave a dead letter for good: it is noted where redrives are.
ALTER TABLE {schema}._cdc_dead_letter_attempts DROP CONSTRAINT _cdc_dead_letter_attempts_outcome_check;
ALTER TABLE {schema}._cdc_dead_letter_attempts ADD CONSTRAINT _cdc_dead_letter_attempts_outcome_check
  CHECK (outcome IN ('applied', 'superseded', 'queued', 'failed', 'discarded'));
