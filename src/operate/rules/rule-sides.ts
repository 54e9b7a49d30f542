/** The two sides of a rule as it asks them: queries with their types brought to one set of kinds. */
import type { Client } from 'cassandra-driver';
import type { Pool } from 'pg';
import type { ScalarName } from '../../change/source-type.ts';
import type { Sides } from '../../reconcile/rules/compare-sides.ts';
import type { Rule, RuleColumn, ValueKind } from '../../reconcile/rules/rule.ts';
import { askSource, type SourceColumn } from '../../source/rule-query.ts';
import { askTarget, type TargetColumn } from '../../target/scan/rule-query.ts';

const SOURCE_KINDS: Readonly<Record<ScalarName, ValueKind | null>> = {
  tinyint: 'number',
  smallint: 'number',
  int: 'number',
  bigint: 'number',
  varint: 'number',
  counter: 'number',
  decimal: 'number',
  float: 'number',
  double: 'number',
  ascii: 'text',
  text: 'text',
  boolean: 'boolean',
  date: 'date',
  time: 'time',
  timestamp: 'timestamp',
  uuid: 'uuid',
  timeuuid: 'uuid',
  inet: 'inet',
  blob: 'blob',
  duration: null,
};

/** OIDs of PostgreSQL's built-in types (pg_type.dat); they never change. */
const TARGET_KINDS: Readonly<Record<number, readonly [ValueKind, string]>> = {
  16: ['boolean', 'boolean'],
  17: ['blob', 'bytea'],
  19: ['text', 'name'],
  20: ['number', 'bigint'],
  21: ['number', 'smallint'],
  23: ['number', 'integer'],
  25: ['text', 'text'],
  26: ['number', 'oid'],
  700: ['number', 'real'],
  701: ['number', 'double precision'],
  869: ['inet', 'inet'],
  1042: ['text', 'character'],
  1043: ['text', 'character varying'],
  1082: ['date', 'date'],
  1083: ['time', 'time'],
  1114: ['timestamp', 'timestamp'],
  1184: ['timestamp', 'timestamp with time zone'],
  1700: ['number', 'numeric'],
  2950: ['uuid', 'uuid'],
};

function sourceColumn({ name, type }: SourceColumn): RuleColumn {
  return { name, kind: type === null ? null : SOURCE_KINDS[type], type: type ?? 'a collection or user-defined type' };
}

export function targetColumn({ name, type }: TargetColumn): RuleColumn {
  const [kind = null, title = `of type OID ${type}`] = TARGET_KINDS[type] ?? [];
  return { name, kind, type: title };
}

export function sidesOf(rule: Rule, cassandra: Client, pool: Pool): Sides {
  const { timeoutMs } = rule;
  return {
    source: async function* (signal) {
      for await (const { columns, rows } of askSource(cassandra, rule.cql, { timeoutMs, signal })) {
        yield { columns: columns.map(sourceColumn), rows };
      }
    },
    target: async function* (signal) {
      for await (const { columns, rows } of askTarget(pool, rule.sql, { timeoutMs, signal })) {
        yield { columns: columns.map(targetColumn), rows };
      }
    },
  };
}
