import { STATIC_SUFFIX } from './bind.ts';
import { mainPlan, staticPlan, type BookkeepingColumn, type IndexPlan, type TargetPlan } from './bookkeeping.ts';
import { checkPlan, FILLFACTOR } from './check-target.ts';
import type { Finding } from './finding.ts';
import { qualified, quoteIdentifier } from './identifier.ts';
import type { Column, Table } from './table.ts';
import type { TargetTable } from './target-table.ts';

/** One statement of a plan. */
export interface DdlStep {
  readonly sql: string;
  /** What it is for, one line. */
  readonly why: string;
  /** False for CONCURRENTLY, which PostgreSQL refuses inside a transaction. */
  readonly transactional: boolean;
}

/** What brings a target to what its table needs. With refusals nothing must be executed. */
export interface DdlPlan {
  readonly steps: readonly DdlStep[];
  /** What is in the way and is not made right by adding something. */
  readonly refusals: readonly Finding[];
}

export interface DdlOptions {
  /** Whether the target schema exists. `CREATE SCHEMA IF NOT EXISTS` asks for a privilege even where it does. */
  readonly schemaExists: boolean;
  /** The live `<table>__static`, where the source has static columns. */
  readonly statics: TargetTable | null;
}

/** Findings that a plan makes right by adding. */
const ADDITIVE = new Set([
  'TARGET_MISSING',
  'TARGET_COLUMN_MISSING',
  'TARGET_BOOKKEEPING',
  'TARGET_INDEX_MISSING',
  'TARGET_INDEX_INVALID',
  'TARGET_FILLFACTOR',
]);

function step(sql: string, why: string, transactional = true): DdlStep {
  return { sql, why, transactional };
}

const isText = (column: Column): boolean => /^(text|character varying)\b/.test(column.targetType);

/** A key's text compares by bytes, as the source's does, whatever the database's locale. */
function columnDdl(column: Column, inKey: boolean): string {
  const collation = inKey && isText(column) ? ' COLLATE "C"' : '';
  return `${quoteIdentifier(column.target)} ${column.targetType}${collation}${inKey ? ' NOT NULL' : ''}`;
}

function bookkeepingDdl({ name, type, constraint }: BookkeepingColumn): string {
  return [quoteIdentifier(name), type, constraint].filter((part) => part !== '').join(' ');
}

const names = (columns: readonly string[]): string => columns.map(quoteIdentifier).join(', ');

function createIndex(plan: TargetPlan, index: IndexPlan, concurrently: boolean): DdlStep {
  const table = qualified(plan.schema, plan.name);
  const how = concurrently ? 'CONCURRENTLY ' : '';
  const sql = `CREATE INDEX ${how}${quoteIdentifier(index.name)} ON ${table} (${names(index.columns)})`;
  return step(sql, index.why, !concurrently);
}

function createTable(plan: TargetPlan): DdlStep[] {
  const lines = [
    ...plan.key.map((column) => columnDdl(column, true)),
    ...plan.values.map((column) => columnDdl(column, false)),
    ...plan.bookkeeping.map(bookkeepingDdl),
    `PRIMARY KEY (${names(plan.key.map((column) => column.target))})`,
  ];
  const table = qualified(plan.schema, plan.name);
  return [
    step(
      `CREATE TABLE ${table} (\n  ${lines.join(',\n  ')}\n) WITH (fillfactor = ${FILLFACTOR})`,
      'rows of the source, with the versions of their cells; room in each page keeps updates HOT',
    ),
    ...plan.indexes.map((index) => createIndex(plan, index, false)),
  ];
}

/** Adds what is missing to a table that exists. Every statement is short: no rewrite, no scan under a lock. */
function extendTable(plan: TargetPlan, target: TargetTable): DdlStep[] {
  const table = qualified(plan.schema, plan.name);
  const present = new Set(target.columns.map((column) => column.name));
  const added = [
    ...plan.values.filter((column) => !present.has(column.target)).map((column) => columnDdl(column, false)),
    ...plan.bookkeeping.filter((column) => !present.has(column.name)).map(bookkeepingDdl),
  ];
  const steps: DdlStep[] = [];
  if (added.length > 0) {
    const actions = added.map((column) => `ADD COLUMN ${column}`).join(',\n  ');
    steps.push(step(`ALTER TABLE ${table}\n  ${actions}`, 'columns that the mapping or the bookkeeping needs'));
  }
  const codes = new Set(checkPlan(plan, target).map((finding) => finding.code));
  if (codes.has('TARGET_FILLFACTOR')) {
    const sql = `ALTER TABLE ${table} SET (fillfactor = ${FILLFACTOR})`;
    steps.push(step(sql, 'room in each page keeps updates HOT; pages that are full already stay as they are'));
  }
  // Rows are there already: building an index must not block them. A partitioned table can't do it CONCURRENTLY.
  const concurrently = target.kind === 'table';
  for (const index of plan.indexes) {
    const sameColumns = target.indexes.filter(
      (live) => !live.partial && live.method === 'btree' && index.columns.every((name, i) => live.columns[i] === name),
    );
    if (sameColumns.some((live) => live.valid)) continue;
    for (const invalid of sameColumns) {
      const how = concurrently ? 'CONCURRENTLY ' : '';
      const sql = `DROP INDEX ${how}${qualified(plan.schema, invalid.name)}`;
      steps.push(step(sql, 'left invalid by a build that failed', !concurrently));
    }
    steps.push(createIndex(plan, index, concurrently));
  }
  return steps;
}

function planOne(plan: TargetPlan, target: TargetTable | null): DdlPlan {
  if (target === null) return { steps: createTable(plan), refusals: [] };
  const refusals = checkPlan(plan, target).filter(
    (finding) => finding.severity === 'error' && !ADDITIVE.has(finding.code),
  );
  return { steps: refusals.length > 0 ? [] : extendTable(plan, target), refusals };
}

/**
 * The statements that bring the target of a table to what it must be: CREATE where it is missing, else only additions.
 * What would need a rewrite or could lose something (another type, another key) is refused, with the statement that a
 * person may run. Pure: an empty plan means that nothing is to do.
 */
export function planDdl(table: Table, existing: TargetTable | null, options: DdlOptions): DdlPlan {
  const main = planOne(mainPlan(table), existing);
  const second = staticPlan(table, STATIC_SUFFIX);
  const statics = second === null ? null : planOne(second, options.statics);
  const schema = options.schemaExists
    ? []
    : [step(`CREATE SCHEMA ${quoteIdentifier(table.targetSchema)}`, 'the schema of the target')];
  return {
    steps: [...schema, ...main.steps, ...(statics?.steps ?? [])],
    refusals: [...main.refusals, ...(statics?.refusals ?? [])],
  };
}
