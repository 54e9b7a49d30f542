/** The prover for real, briefly: random histories under faults end in PASS, and a row that is not as in Cassandra in REFUTED. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Closing } from '../../src/demo/closing.ts';
import { packageFile } from '../../src/stack/package-root.ts';
import { FAULT_KINDS } from '../prove/faults/fault.ts';
import { CLAIMED } from '../prove/generate/semantics.ts';
import { reportDocument, reportText } from '../prove/report.ts';
import { runProof, type ProofOptions } from '../prove/run-proof.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'lockstep-prove-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const SEED = 20_261_127;
/** Two rounds, however long they take. */
const ROUNDS = 2;

function options(rest: Partial<ProofOptions>): ProofOptions {
  return {
    seed: SEED,
    minutes: 10,
    rounds: ROUNDS,
    nodes: 1,
    tables: 4,
    dir: join(dir, 'stack'),
    program: packageFile('src', 'main.ts'),
    repertoire: { semantics: new Set(CLAIMED), hazards: new Set() },
    faults: new Set(FAULT_KINDS),
    signal: new AbortController().signal,
    tell: () => undefined,
    ...rest,
  };
}

describe('prove', () => {
  it('passes under faults', async () => {
    const closing = new Closing();
    try {
      const report = await runProof(options({}), closing);
      const document = reportDocument(report);
      expect(document, reportText(report)).toMatchObject({
        verdict: 'PASS',
        rounds: ROUNDS,
        seed: SEED,
        refuted_rows: 0,
      });
      expect(document['rows_compared']).toBeGreaterThan(0);
      expect(document['statements_refused']).toBe(0);
      expect(document['lost_by_connector']).toBe(0);
    } finally {
      await closing.run();
    }
  });

  it('refutes what is not as in Cassandra, with the history of the row and whose fault it is', async () => {
    const closing = new Closing();
    let doctored = 0;
    try {
      const report = await runProof(
        options({
          rounds: 1,
          writeMs: 3_000,
          faults: new Set(),
          // Somebody else writes to the target, behind Lockstep's back.
          beforeComparing: async ({ site, set }) => {
            const client = new pg.Client({ connectionString: site.endpoints.postgres.url });
            await client.connect();
            // Where nothing expires: a row that is about to go anyway would be missed on neither side.
            const lasting = set.tables.find(({ table: { usesTtl } }) => !usesTtl);
            const table = `"${set.names.set}"."${lasting?.table.name ?? ''}"`;
            const { rowCount } = await client.query(
              `DELETE FROM ${table} WHERE ctid IN (SELECT ctid FROM ${table} LIMIT 1)`,
            );
            doctored = rowCount ?? 0;
            await client.end();
          },
        }),
        closing,
      );
      expect(doctored).toBe(1);
      expect(report, reportText(report)).toMatchObject({ verdict: 'REFUTED', rounds: 1 });
      const refutation = reportDocument(report)['refutation'] as Record<string, unknown>;
      expect(refutation).toMatchObject({ fault: 'lockstep', postgres: null });
      expect(refutation['history']).not.toHaveLength(0);
      expect(refutation['events']).not.toHaveLength(0);
    } finally {
      await closing.run();
    }
  });
});
