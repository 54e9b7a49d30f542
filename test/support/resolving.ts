/** A table in step on a real PostgreSQL, spoilt by its tests, whose findings a person decides about; the source is rows in memory. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, inject } from 'vitest';
import { rowKey, type ChangeEvent } from '../../src/change/change-event.ts';
import type { Correction } from '../../src/reconcile/end-state/corrected-row.ts';
import {
  reconcileTable,
  type ReconcileParts,
  type ReconcileReport,
} from '../../src/reconcile/end-state/reconcile-table.ts';
import { applyCorrection, applySource, type ResolveParts } from '../../src/reconcile/end-state/resolve-finding.ts';
import type { ResolveOutcome } from '../../src/reconcile/end-state/resolve-outcome.ts';
import type { ScannedRow } from '../../src/reconcile/end-state/source-slices.ts';
import { FindingDecisions } from '../../src/target/stores/finding-decisions.ts';
import { FindingStore, type Finding } from '../../src/target/stores/finding-store.ts';
import { comparedParts } from './compared-parts.ts';
import { openDoorRig, type DoorRig } from './door-rig.ts';
import { COMPARED } from './two-sides.ts';

const ROWS = 12;
const SIGNAL = new AbortController().signal;
export const HAND = { by: 'ann', why: 'agreed with billing', dryRun: false };

/** The insert of row `n`: key (n, 0), values `vN` and n. */
export function insertOf(n: number): ChangeEvent & { readonly kind: 'write' } {
  const key = rowKey([String(n), '0']);
  const writeTime = BigInt(100 + n);
  const cells = [
    { writeTime, value: `v${n}`, expiry: null },
    { writeTime, value: String(n), expiry: null },
  ];
  return {
    kind: 'write',
    table: COMPARED.name,
    key,
    writeTime,
    ambiguity: null,
    marker: { writeTime, expiry: null },
    cells,
  };
}

class ResolvingStage {
  readonly #schema: string;
  rig!: DoorRig;
  parts!: ReconcileParts & ResolveParts;
  findings!: FindingStore;
  /** Rows of the source by the texts of their keys. */
  source = new Map<string, ScannedRow>();

  constructor(schema: string) {
    this.#schema = schema;
  }

  async open(): Promise<void> {
    this.rig = await openDoorRig(inject('postgresUrl'), [COMPARED], { schema: this.#schema });
    this.findings = new FindingStore(this.rig.pool, this.#schema);
    const compared = comparedParts(this.rig, this.#schema, this.rig.target.tables[0]!, () => this.source);
    const decisions = new FindingDecisions(this.rig.pool, this.#schema);
    this.parts = { ...compared, findings: this.findings, decisions };
  }

  async fill(): Promise<void> {
    await this.rig.pool.query('TRUNCATE compared');
    for (const name of ['graveyard', 'range_tombstones', 'queue', 'ledger', 'findings', 'audit_log']) {
      await this.rig.pool.query(`TRUNCATE ${this.#schema}._cdc_${name}`);
    }
    const changes = Array.from({ length: ROWS }, (_, n) => insertOf(n));
    this.source = new Map(
      changes.map(({ key, cells }) => [key.text, { key, token: this.parts.table.tokenOf(key.values)!, cells }]),
    );
    await this.rig.apply(COMPARED, 0, changes);
  }

  compare(repair = false): Promise<ReconcileReport> {
    return reconcileTable(
      this.parts,
      {
        jobId: randomUUID(),
        plan: { strategy: 'CHECKSUM', writtenUs: null, sampleRows: 1, estimatedRows: ROWS, random: () => 0.5 },
        repair: repair ? { limits: { maxRows: 100, maxShare: 1 }, status: 'AUTO_RESOLVED' } : null,
        dryRun: false,
        mayBeEmpty: false,
        actor: 'test',
      },
      SIGNAL,
    );
  }

  /** The one open finding of a comparison. */
  async found(): Promise<Finding> {
    await this.compare();
    const open = await this.findings.list({ status: 'PENDING', limit: 10, offset: 0 });
    expect(open).toHaveLength(1);
    return open[0]!;
  }

  async row(p: number): Promise<unknown> {
    const { rows } = await this.rig.pool.query<Record<string, string>>('SELECT a, b FROM compared WHERE p = $1', [p]);
    return rows[0] ?? null;
  }

  applySource(finding: Finding, more: Partial<ResolveParts> = {}, dryRun = false): Promise<ResolveOutcome> {
    return applySource({ ...this.parts, ...more }, finding, { ...HAND, dryRun }, SIGNAL);
  }

  correct(finding: Finding, value: Correction, more: Partial<ResolveParts> = {}): Promise<ResolveOutcome> {
    return applyCorrection({ ...this.parts, ...more }, finding, value, HAND, SIGNAL);
  }

  async audit(): Promise<readonly Record<string, unknown>[]> {
    const { rows } = await this.rig.pool.query<Record<string, string | null>>(
      `SELECT actor, action, row_key, reason, before::text, after::text FROM ${this.#schema}._cdc_audit_log ORDER BY id`,
    );
    return rows;
  }
}

/** For all tests of a file; each begins with the table in step. */
export function resolvingStage(schema: string): ResolvingStage {
  const stage = new ResolvingStage(schema);
  beforeAll(() => stage.open());
  beforeEach(() => stage.fill());
  afterAll(() => stage.rig.close());
  return stage;
}
