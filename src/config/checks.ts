import { CronExpressionParser } from 'cron-parser';
import { messageOf } from '../shared/errors.ts';
import type { ConfigurationCode, ConfigurationProblem } from './configuration-error.ts';
import { pathText, type KeyPath } from './schema-node.ts';
import type { Locate } from './problems.ts';
import type { Configuration } from './schema.ts';

/**
 * Rules over more than one key. They see only the sections that are valid by themselves, so that their findings come
 * together with the others and not after the next attempt.
 */
export function checkAcrossKeys(sections: Partial<Configuration>, locate: Locate): readonly ConfigurationProblem[] {
  const problems: ConfigurationProblem[] = [];
  const report = (path: KeyPath, found: unknown, expected: string, remedy: string) => {
    const code: ConfigurationCode = 'CONFIG_CONFLICT';
    problems.push({ code, path: pathText(path), where: locate(path), found: String(found), expected, remedy });
  };
  const tables = sections.tables ?? [];

  const eachOnce = (key: 'source' | 'topic' | 'target', expected: string, remedy: string) => {
    const first = new Map<string, number>();
    tables.forEach((table, index) => {
      const before = first.get(table[key]);
      if (before === undefined) first.set(table[key], index);
      else report(['tables', index, key], `${table[key]}, as in tables[${before}]`, expected, remedy);
    });
  };
  eachOnce('source', 'each source table once', 'Remove one of the two entries.');
  eachOnce(
    'topic',
    'one topic for one table, because a shard is a partition of one table',
    'Let the capture side write one topic per table, or remove one of the two entries.',
  );
  eachOnce(
    'target',
    'one target table fed by one topic, because two streams have no common order',
    'Give each source table a target table of its own.',
  );

  if (sections.source?.cassandra === null) {
    tables.forEach((table, index) => {
      if (table.schema !== null) return;
      report(
        ['tables', index, 'schema'],
        'null',
        'a declared schema, because there is no source to read it from',
        'Add source.cassandra, or declare columns and partitionKey in the schema of this table.',
      );
    });
  }

  const registry = sections.schemaRegistry?.url ?? null;
  if (registry !== null) {
    report(
      ['schemaRegistry', 'url'],
      registry,
      'null, because records in the registry’s format are not read yet',
      'Let the capture side write plain JSON: JsonConverter without schemas, as in connectors/debezium-cassandra.',
    );
  }

  const dlq = sections.deadLetter?.topic;
  const clash = tables.findIndex((table) => table.topic === dlq);
  if (dlq !== undefined && clash >= 0) {
    report(
      ['deadLetter', 'topic'],
      `${dlq}, which tables[${clash}] is read from`,
      'a topic of its own',
      'Name another topic, such as lockstep.dlq.',
    );
  }

  const { retention } = sections;
  if (retention !== undefined) {
    const longest = Math.max(retention.ledger, retention.deadLetters);
    if (retention.horizon <= longest) {
      report(
        ['retention', 'horizon'],
        `${retention.horizon} ms`,
        `more than ledger and deadLetters (${longest} ms), and gc_grace_seconds of the source beyond that`,
        'Raise retention.horizon: what is replayed or redriven must still meet the tombstones of its time.',
      );
    }
  }

  const { reconciliation } = sections;
  if (reconciliation !== undefined && reconciliation.driftCriticalThreshold < reconciliation.driftWarningThreshold) {
    report(
      ['reconciliation', 'driftCriticalThreshold'],
      reconciliation.driftCriticalThreshold,
      `at least driftWarningThreshold (${reconciliation.driftWarningThreshold})`,
      'Raise the critical threshold or lower the warning threshold.',
    );
  }
  reconciliation?.counters.forEach(({ source }, index) => {
    const path = ['reconciliation', 'counters', index, 'source'];
    const same = tables.findIndex((table) => table.source === source);
    if (same >= 0) {
      report(
        path,
        `${source}, as in tables[${same}]`,
        'a table of counters',
        'Leave it out: tables are compared as they are.',
      );
    } else if (sections.source?.cassandra === null) {
      report(path, source, 'a source connection to read counters through', 'Fill in source.cassandra.');
    }
  });
  const horizons = reconciliation?.windows.horizons ?? [];
  horizons.forEach((horizonMs, index) => {
    const before = horizons[index - 1];
    if (before === undefined || before < horizonMs) return;
    report(
      ['reconciliation', 'windows', 'horizons', index],
      horizonMs,
      `more than the horizon before it (${before} ms)`,
      'List the ages in ascending order.',
    );
  });
  if (reconciliation?.windows.changelog === 'cassandra' && sections.source?.cassandra === null) {
    report(
      ['reconciliation', 'windows', 'changelog'],
      'cassandra',
      'a source connection to read the changelog table from',
      'Fill in source.cassandra, or use the kafka changelog.',
    );
  }
  const heartbeats = reconciliation?.heartbeats ?? null;
  if (heartbeats !== null) {
    const path = ['reconciliation', 'heartbeats'];
    if (sections.source?.cassandra === null) {
      report(path, 'set', 'a source connection to write heartbeats through', 'Fill in source.cassandra.');
    }
    for (const key of ['table', 'topic'] as const) {
      const of = { table: 'source', topic: 'topic' } as const;
      const taken = tables.findIndex((table) => table[of[key]] === heartbeats[key]);
      if (taken < 0 && (key === 'table' || heartbeats.topic !== sections.deadLetter?.topic)) continue;
      report(
        [...path, key],
        taken < 0 ? `${heartbeats[key]}, as deadLetter.topic` : `${heartbeats[key]}, as in tables[${taken}]`,
        `a ${key} of its own`,
        'Leave the heartbeats out of tables: they are followed by themselves.',
      );
    }
  }
  const known = new Set(tables.map((table) => table.source));
  const checkNames = (
    names: readonly string[],
    path: KeyPath,
    place: (name: string, index: number) => string | number = (_name, index) => index,
  ) => {
    if (sections.tables === undefined) return;
    names.forEach((name, index) => {
      if (known.has(name)) return;
      const remedy = 'Write keyspace.table as in tables[].source, or add the table there.';
      report([...path, place(name, index)], name, `one of ${[...known].join(', ')}`, remedy);
    });
  };
  checkNames(reconciliation?.tables ?? [], ['reconciliation', 'tables']);
  const ruleNames = new Map<string, number>();
  reconciliation?.rules.forEach(({ name, tolerance, tables: read }, index) => {
    const path = ['reconciliation', 'rules', index] as const;
    checkNames(read, [...path, 'tables']);
    const before = ruleNames.get(name);
    if (before !== undefined) {
      report(
        [...path, 'name'],
        `${name}, as in rules[${before}]`,
        'each name once',
        'Give each rule a name of its own.',
      );
    }
    ruleNames.set(name, before ?? index);
    if (tolerance.absolute !== null && tolerance.relative !== null) {
      report([...path, 'tolerance'], 'both', 'absolute or relative', 'Keep one of the two.');
    }
    if (sections.source?.cassandra === null) {
      report([...path], name, 'a source connection to ask', 'Fill in source.cassandra, or remove the rule.');
    }
  });
  reconciliation?.schedules.forEach((schedule, index) => {
    checkNames(schedule.tables, ['reconciliation', 'schedules', index, 'tables']);
    try {
      CronExpressionParser.parse(schedule.cron, { tz: 'UTC' });
    } catch (error) {
      report(
        ['reconciliation', 'schedules', index, 'cron'],
        `${schedule.cron} (${messageOf(error)})`,
        'a cron expression',
        'Write five fields: minute, hour, day of month, month, day of week.',
      );
    }
  });

  checkNames(Object.keys(reconciliation?.repair.tables ?? {}), ['reconciliation', 'repair', 'tables'], (name) => name);

  const { apply } = sections;
  if (apply !== undefined && apply.maxBytesInFlight < apply.maxBatchBytes) {
    report(
      ['apply', 'maxBytesInFlight'],
      apply.maxBytesInFlight,
      `at least apply.maxBatchBytes (${apply.maxBatchBytes}), or no batch is ever full`,
      'Raise apply.maxBytesInFlight or lower apply.maxBatchBytes.',
    );
  }

  const tokenNames = new Map<string, number>();
  const tokenTexts = new Map<string, number>();
  sections.api?.tokens.forEach(({ name, token }, index) => {
    const sameName = tokenNames.get(name);
    const sameToken = tokenTexts.get(token);
    if (sameName !== undefined) {
      report(
        ['api', 'tokens', index, 'name'],
        `${name}, as in api.tokens[${sameName}]`,
        'each name once, because the audit log tells users apart by it',
        'Give each token a name of its own.',
      );
    }
    if (sameToken !== undefined) {
      report(
        ['api', 'tokens', index, 'token'],
        `the token of api.tokens[${sameToken}]`,
        'each token once',
        'Make another: openssl rand -hex 32.',
      );
    }
    tokenNames.set(name, sameName ?? index);
    tokenTexts.set(token, sameToken ?? index);
  });
  return problems;
}
