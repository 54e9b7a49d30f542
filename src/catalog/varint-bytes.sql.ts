/** Name of the function that `VARINT_BYTES_SQL` creates; the door qualifies it with the control schema. */
export const VARINT_BYTES_FUNCTION = '_cdc_varint_bytes';

/**
 * Cassandra's serialised bytes of a varint: two's complement, big-endian, as few bytes as hold the sign
 * (java.math.BigInteger.toByteArray). PostgreSQL has nothing like it. Created by a migration in the control schema
 * (the name is not qualified: the migration's search_path decides).
 *
 * 32 bits are split off at a time until the rest fits a bigint; each division is exact, so floor semantics make the
 * two's complement of negative numbers. Up to 18 digits, nearly always, the loop does not run at all.
 */
export const VARINT_BYTES_SQL = `
CREATE OR REPLACE FUNCTION ${VARINT_BYTES_FUNCTION}(value numeric) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $function$
DECLARE
  rest numeric := value;
  low numeric;
  head bytea;
  tail bytea := '';
BEGIN
  -- Not integers: no source wrote them. NaN would never leave the loop.
  IF value IN ('NaN', 'Infinity', '-Infinity') OR value <> trunc(value) THEN
    RETURN NULL;
  END IF;
  WHILE rest NOT BETWEEN -9223372036854775808 AND 9223372036854775807 LOOP
    low := mod(mod(rest, 4294967296) + 4294967296, 4294967296);
    tail := substring(int8send(low::bigint) FROM 5) || tail;
    rest := div(rest - low, 4294967296);
  END LOOP;
  head := int8send(rest::bigint);
  -- A leading 00 or FF that only repeats the sign bit of the byte behind it is not written.
  WHILE length(head) > 1 AND (
    (get_byte(head, 0) = 0 AND get_byte(head, 1) < 128) OR (get_byte(head, 0) = 255 AND get_byte(head, 1) >= 128)
  ) LOOP
    head := substring(head FROM 2);
  END LOOP;
  RETURN head || tail;
END
$function$;
`;
