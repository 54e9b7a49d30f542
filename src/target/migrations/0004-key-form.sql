-- How the keys of a topic's records are written; another form moves keys between partitions, which counts as growth.
ALTER TABLE {schema}._cdc_tables ADD COLUMN key_form text;
