import type { Client } from 'cassandra-driver';
import { readChangelog } from '../../source/changelog-table.ts';
import type { Changelog } from './changelog.ts';
import { idRangeOf } from './window.ts';

/** The changelog table of the source's keyspace as a changelog: it knows what the capture has lost. */
export function sourceChangelog(client: Client): Changelog {
  return {
    name: 'cassandra',
    async *read(table, window, signal) {
      const [keyspace = ''] = table.split('.');
      for await (const page of readChangelog(client, keyspace, table, idRangeOf(window), signal)) {
        yield page.map(({ id, kind, key }) => ({ id, evidence: { kind: 'key' as const, changeKind: kind, key } }));
      }
    },
  };
}
