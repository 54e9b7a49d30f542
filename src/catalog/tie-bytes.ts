import { VARINT_BYTES_FUNCTION } from './varint-bytes.sql.ts';

/**
 * SQL for Cassandra's serialised bytes of a stored value: at equal write times the larger bytes win, compared as
 * PostgreSQL compares bytea (unsigned, then length), as Cassandra does. Each takes the SQL of the value; `schema` is the
 * quoted control schema with its dot, or ''.
 */
export type TieExpression = (value: string, schema: string) => string;

const varint = (value: string, schema: string): string => `${schema}${VARINT_BYTES_FUNCTION}(${value})`;

/** int −1 (ffffffff) beats 1. */
export const INT_BYTES: TieExpression = (value) => `int4send((${value})::integer)`;
export const BIGINT_BYTES: TieExpression = (value) => `int8send((${value})::bigint)`;
export const SMALLINT_BYTES: TieExpression = (value) => `int2send((${value})::smallint)`;
/** One byte: the low one of two. */
export const TINYINT_BYTES: TieExpression = (value) => `substring(int2send((${value})::smallint) FROM 2)`;
export const VARINT_BYTES: TieExpression = (value, schema) => varint(`(${value})::numeric`, schema);

/** Scale, then the unscaled number: 1.00 beats 1.0 beats 9. `::text` prints exactly `scale` digits. */
export const DECIMAL_BYTES: TieExpression = (value, schema) =>
  `(int4send(scale(${value})) || ${varint(`replace((${value})::text, '.', '')::numeric`, schema)})`;

/** Of a decimal kept as canonical text; a negative scale is written `5E+3`. */
export const DECIMAL_TEXT_BYTES: TieExpression = (value, schema) =>
  `CASE WHEN strpos(${value}, 'E+') > 0
    THEN int4send((-split_part(${value}, 'E+', 2)::bigint)::integer) || ${varint(`split_part(${value}, 'E+', 1)::numeric`, schema)}
    ELSE int4send(length(split_part(${value}, '.', 2))) || ${varint(`replace(${value}, '.', '')::numeric`, schema)} END`;

export const FLOAT_BYTES: TieExpression = (value) => `float4send((${value})::real)`;
export const DOUBLE_BYTES: TieExpression = (value) => `float8send((${value})::double precision)`;

export const BOOLEAN_BYTES: TieExpression = (value) =>
  `CASE WHEN (${value})::boolean THEN '\\x01'::bytea ELSE '\\x00'::bytea END`;

export const TEXT_BYTES: TieExpression = (value) => `convert_to((${value})::text, 'UTF8')`;
export const RAW_BYTES: TieExpression = (value) => value;
/** Of a blob kept as its canonical text. */
export const HEX_TEXT_BYTES: TieExpression = (value) => `decode(substring(${value} FROM 3), 'hex')`;

export const UUID_BYTES: TieExpression = (value) => `uuid_send((${value})::uuid)`;
/** inet_send puts family, prefix length, a flag and the length before the address. */
export const INET_BYTES: TieExpression = (value) => `substring(inet_send((${value})::inet) FROM 5)`;

/** Days with 2^31 at the epoch, unsigned: the low four bytes of a bigint. */
const dayBytes = (days: string): string => `substring(int8send((${days})::bigint + 2147483648) FROM 5)`;
export const DATE_BYTES: TieExpression = (value) => dayBytes(`${value} - DATE '1970-01-01'`);
export const DAYS_BYTES: TieExpression = (value) => dayBytes(value);

/** `extract` gives numeric: exact over the whole range. */
export const TIMESTAMP_BYTES: TieExpression = (value) => `int8send((extract(epoch FROM ${value}) * 1000)::bigint)`;
export const TIME_BYTES: TieExpression = (value) => `int8send((extract(epoch FROM ${value}) * 1000000000)::bigint)`;
/** Of a time kept as canonical text, `HH:MM:SS.nnnnnnnnn`. */
export const TIME_TEXT_BYTES: TieExpression = (value) =>
  `int8send((substr(${value}, 1, 2)::bigint * 3600 + substr(${value}, 4, 2)::bigint * 60 + substr(${value}, 7, 2)::bigint) * 1000000000 + substr(${value}, 10, 9)::bigint)`;

/** vector<float, n>: its elements one after another, without lengths. */
export const REALS_BYTES: TieExpression = (value) =>
  `(SELECT string_agg(float4send(e.value), ''::bytea ORDER BY e.position) FROM unnest(${value}) WITH ORDINALITY AS e(value, position))`;
