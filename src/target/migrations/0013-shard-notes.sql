-- Why a shard stands still, since when, and what its dead-letter breaker has seen: for whoever looks from elsewhere.
ALTER TABLE {schema}._cdc_offsets
  ADD COLUMN reason text,
  ADD COLUMN state_since timestamptz,
  ADD COLUMN breaker jsonb;
