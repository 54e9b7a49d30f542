/** Deliberate faults, one line each: the simulation is worth as much as it finds of them. */

export interface SourceMutation {
  readonly name: string;
  /** Under the repository. */
  readonly file: string;
  /** Occurs exactly once, so that a mutation that no longer applies is noticed. */
  readonly find: string;
  readonly replace: string;
}

const change = 'src/change';
const target = 'src/target';
const consume = 'src/consume';
const decode = 'src/decode/debezium-cassandra';

export const MUTATIONS: readonly SourceMutation[] = [
  // Merge
  {
    name: 'merge: the older write time wins',
    file: `${change}/row-state.ts`,
    find: 'if (right.writeTime !== left.writeTime) return right.writeTime > left.writeTime;\n  const rightRank',
    replace: 'if (right.writeTime !== left.writeTime) return right.writeTime < left.writeTime;\n  const rightRank',
  },
  {
    name: 'merge: a value beats a tombstone of the same time',
    file: `${change}/row-state.ts`,
    find: 'return cell.value === null ? 2 : 0;',
    replace: 'return cell.value === null ? -1 : 0;',
  },
  {
    name: 'merge: lasting beats expiring at the same time',
    file: `${change}/row-state.ts`,
    find: 'if (cell.expiry !== null) return 1;',
    replace: 'if (cell.expiry !== null) return -1;',
  },
  {
    name: 'merge: the earlier expiry wins a tie',
    file: `${change}/row-state.ts`,
    find: 'return right.expiry > left.expiry;\n  if (right.value',
    replace: 'return right.expiry < left.expiry;\n  if (right.value',
  },
  {
    name: 'merge: the smaller bytes win a tie',
    file: `${change}/row-state.ts`,
    find: 'return order(right.value, left.value) > 0;',
    replace: 'return order(right.value, left.value) < 0;',
  },
  {
    name: 'merge: of two markers of one time the first stays, whatever its expiry',
    file: `${change}/row-state.ts`,
    find: 'return right.expiry > left.expiry;\n}\n\nexport function mergeMarkers',
    replace: 'return false;\n}\n\nexport function mergeMarkers',
  },
  {
    name: 'merge: a sweep forgets the write time of what expired',
    file: `${change}/row-state.ts`,
    find: '? { ...cell, value: null } : cell,',
    replace: '? null : cell,',
  },
  // Fold
  {
    name: 'fold: a write at a row tombstone’s own time survives it',
    file: `${change}/fold.ts`,
    find: 'if (cell == null || cell.writeTime <= deletedAt) continue;',
    replace: 'if (cell == null || cell.writeTime < deletedAt) continue;',
  },
  {
    name: 'fold: the last cell of a batch wins',
    file: `${change}/fold.ts`,
    find: 'cells[i] = mergeCells(current, cell, order);',
    replace: 'cells[i] = cell;',
  },
  {
    name: 'fold: a marker below the row tombstone of its batch survives',
    file: `${change}/fold.ts`,
    find: 'if (change.marker !== null && change.marker.writeTime > deletedAt) {',
    replace: 'if (change.marker !== null) {',
  },
  // Tombstones
  {
    name: 'tombstones: a cell at the tombstone’s own time survives it',
    file: `${change}/row-state.ts`,
    find: 'cell !== null && cell.writeTime > deletedAt ? cell : null',
    replace: 'cell !== null && cell.writeTime >= deletedAt ? cell : null',
  },
  {
    name: 'tombstones: a marker outlives what covers it',
    file: `${change}/row-state.ts`,
    find: 'marker: row.marker !== null && row.marker.writeTime > deletedAt ? row.marker : null,',
    replace: 'marker: row.marker,',
  },
  {
    name: 'tombstones: an exclusive end includes its value',
    file: `${change}/range-tombstone.ts`,
    find: 'return fromEnd < 0 || (fromEnd === 0 && tombstone.end.inclusive);',
    replace: 'return fromEnd <= 0;',
  },
  {
    name: 'tombstones: an older range makes a newer one superfluous',
    file: `${change}/range-tombstone.ts`,
    find: 'if (outer.writeTime < inner.writeTime) return false;',
    replace: '',
  },
  {
    name: 'tombstones: the order of a DESC column is not turned round',
    file: `${target}/bound-table.ts`,
    find: 'return column.descending ? -compared : compared;',
    replace: 'return compared;',
  },
  {
    name: 'tombstones: the removal of an inclusive range leaves its edge',
    file: `${target}/range-predicate.ts`,
    find: "if (bound.inclusive) terms.push(equals.join(' AND '));",
    replace: '',
  },
  {
    name: 'tombstones: rows of which something newer remains are left as they are',
    file: `${target}/wide-tombstones.ts`,
    find: 'while (await coverPartly(pool, control, table, change, clock, owed, recordedOn));',
    replace: '',
  },
  {
    name: 'tombstones: a row delete leaves no grave where the row is gone',
    file: `${target}/row-plan.ts`,
    find: 'if (tombstoneIsNew || memory !== null) plan.graves.push({ key, deletedAt: rowDeletedAt, memory });',
    replace: 'if (memory !== null) plan.graves.push({ key, deletedAt: rowDeletedAt, memory });',
  },
  {
    name: 'tombstones: the memory of a row that is gone is not kept',
    file: `${target}/row-plan.ts`,
    find: 'const memory = isEmpty(merged) ? null : merged;',
    replace: 'const memory = null as RowState | null;',
  },
  {
    name: 'tombstones: the graveyard is not folded in',
    file: `${target}/row-plan.ts`,
    find: 'return row.grave === null ? row.incoming : mergeRows(',
    replace: 'return row.grave !== null ? row.incoming : mergeRows(row.grave ?? ',
  },
  {
    name: 'tombstones: range tombstones are written into the row’s own grave',
    file: `${target}/row-plan.ts`,
    find: 'const rowDeletedAt = memoryAndChanges.deletedAt;',
    replace: 'const rowDeletedAt = covered(table, row, memoryAndChanges).deletedAt + 1n;',
  },
  {
    name: 'tombstones: a cell tombstone may go to the upsert unread',
    file: `${target}/row-plan.ts`,
    find: '((cell.value === null && cell.sequence === undefined) ||',
    replace: '((cell.value === null && cell.sequence !== undefined) ||',
  },
  {
    name: 'tombstones: any lasting marker keeps a row alive',
    file: `${target}/row-plan.ts`,
    find: 'if (marker !== null && marker.expiry === null && !table.table.usesTtl) return false;',
    replace: 'if (marker !== null && marker.expiry === null) return false;',
  },
  // Fencing, atomicity, positions
  {
    name: 'fencing: any position will do',
    file: `${target}/door.ts`,
    find: 'if (stored === null || BigInt(stored) !== batch.from) {',
    replace: 'if (stored === null) {',
  },
  {
    name: 'fencing: a position ahead is no fence',
    file: `${target}/door.ts`,
    find: 'if (stored === null || BigInt(stored) !== batch.from) {',
    replace: 'if (stored === null || BigInt(stored) < batch.from) {',
  },
  {
    name: 'fencing: a fenced batch is taken for committed',
    file: `${consume}/shard/batch-applier.ts`,
    find: "if (result.kind === 'fenced') return { kind: 'fenced' };",
    replace: "if (result.kind === 'fenced') return { kind: 'committed' };",
  },
  {
    name: 'positions: the first part of a batch passes the records of the others',
    file: `${consume}/shard/apply-batch-of.ts`,
    find: 'next: end === undefined ? stretch.next : offsetAt(stretch, end),',
    replace: 'next: stretch.next,',
  },
  {
    name: 'fencing: a shard at rest never compares its position',
    file: `${consume}/shard/shard-worker.ts`,
    find: 'if (next === restedAt || this.restingAt !== restedAt) return;',
    replace: 'if (next !== restedAt || this.restingAt !== restedAt) return;',
  },
  {
    name: 'fencing: fingerprints of a transaction that ended after a drop are kept',
    file: `${consume}/shard/shard-worker.ts`,
    find: '    this.#recent.clear();\n    this.#stored = position;',
    replace: '    this.#stored = position;',
  },
  {
    name: 'atomicity: rows are committed before the position moves',
    file: `${target}/door.ts`,
    find: 'const upsertAt = ',
    replace: "statements.push({ text: 'COMMIT' }, { text: 'BEGIN' });\n    const upsertAt = ",
  },
  {
    name: 'fencing: a failover between a wide delete and its batch goes unnoticed',
    file: `${target}/same-server.ts`,
    find: 'if (recordedOn === null || serverStartOf(answer) === recordedOn) return;',
    replace: "if (recordedOn !== '') return;",
  },
  {
    name: 'locks: wide tombstones are recorded under the shared gate',
    file: `${target}/wide-tombstones.ts`,
    find: "return gated(pool, 'exclusive', bound.id, async (client) => {\n    const [, stored, server]",
    replace: "return gated(pool, 'shared', bound.id, async (client) => {\n    const [, stored, server]",
  },
  {
    name: 'growth: batches of a growing topic keep the shared gate',
    file: `${target}/door.ts`,
    find: "if (growing === 't' && mode === 'shared') return 'growing';",
    replace: '',
  },
  {
    name: 'growth: new shards do not mark their topic',
    file: `${target}/growth.ts`,
    find: 'if (grew) await run(this.#markStatements(topic));',
    replace: '',
  },
  {
    name: 'growth: it ends before its log ends are passed',
    file: `${target}/growth.ts`,
    find: 'const behind = this.#behind(topic);',
    replace: "const behind = this.#behind('no topic');",
  },
  {
    name: 'locks: the outside door takes the gate shared',
    file: `${target}/gate-busy.ts`,
    find: "text: gateStatement('exclusive'), values: [tableId]",
    replace: "text: gateStatement('shared'), values: [tableId]",
  },
  // Dead letters
  {
    name: 'dead letters: a transient error is the record’s fault',
    file: `${target}/postgres-errors.ts`,
    find: "'40001': 'transient',",
    replace: "'40001': 'row',",
  },
  {
    name: 'dead letters: the index is written before the bytes are kept',
    file: `${consume}/shard/batch-applier.ts`,
    find: 'if (prepared.letters.length > 0) await deadLetters.put(prepared.letters);',
    replace: '',
  },
  {
    name: 'dead letters: of a batch that is cut the last part is dropped',
    file: `${consume}/shard/isolation.ts`,
    find: 'if (without === null) return applyAll(parts, ports);',
    replace: 'if (without === null) return applyAll(parts.slice(0, -1), ports);',
  },
  {
    name: 'dead letters: a refused record is skipped',
    file: `${consume}/shard/apply-batch-of.ts`,
    find: 'letters.push(letterOf(item, context));',
    replace: 'skipped += 1;',
  },
  // Decode
  {
    name: 'decode: an UPDATE makes a row marker',
    file: `${decode}/index.ts`,
    find: "return rowWrite(fields, op !== 'u', time, key, reading);",
    replace: "return rowWrite(fields, op !== 'x', time, key, reading);",
  },
  {
    name: 'decode: the fast reading takes an UPDATE for an INSERT',
    file: `${decode}/index.ts`,
    find: "change: rowWrite(scanned, scanned.op !== 'u', time, key, reading), contents",
    replace: 'change: rowWrite(scanned, true, time, key, reading), contents',
  },
  {
    name: 'decode: a column that was set to null counts as untouched',
    file: `${decode}/row-write.ts`,
    find: 'if (until === null) return { writeTime, value: null, expiry: null };',
    replace: 'if (until === null) return { writeTime: writeTime - 1n, value: null, expiry: null };',
  },
  {
    name: 'decode: values expire never',
    file: `${decode}/row-write.ts`,
    find: 'expiry: until === null ? null : microseconds(until, `${column.path}.deletion_ts`, reading),',
    replace: 'expiry: null,',
  },
  {
    name: 'decode: EXCL_START_BOUND includes',
    file: `${decode}/range-delete.ts`,
    find: "EXCL_START_BOUND: { side: 'start', inclusive: false },",
    replace: "EXCL_START_BOUND: { side: 'start', inclusive: true },",
  },
  {
    name: 'decode: bounds are taken in the order in which they arrive',
    file: `${decode}/range-delete.ts`,
    find: '    texts[position] = text;',
    replace: '    texts[at] = text;',
  },
  // Expiry
  {
    name: 'expiry: only the last of a row’s expiries is queued',
    file: `${change}/row-state.ts`,
    find: 'expiry > nowUs && (next === null || expiry < next)) next = expiry;',
    replace: 'expiry > nowUs && (next === null || expiry > next)) next = expiry;',
  },
  {
    name: 'expiry: the next one is not queued after a sweep',
    file: `${target}/expiry-sweep.ts`,
    find: 'plan.expiring.filter((entry) => !isForeign(entry)),',
    replace: '[],',
  },
  // What the source is asked for
  {
    name: 'ties: what the bytes would have told is left to the order of the text',
    file: `${target}/row-plan.ts`,
    find: 'const conflicts = policy === null ? null : conflictsOf(policy, row, stored, merge);',
    replace: 'const conflicts = null as Conflicts | null;',
  },
  {
    name: 'ties: rows that the upsert decides alone are not looked at',
    file: `${target}/row-statements.ts`,
    find: 'if (columns.length === 0) return null;',
    replace: 'if (columns.length > 0) return null;',
  },
  {
    name: 'ties: those within a batch are not noted',
    file: `${change}/fold.ts`,
    find: '(row.contested ??= new Map()).set(i, cell.writeTime);',
    replace: '',
  },
  {
    name: 'ties: a read merges as any change does',
    file: `${target}/rereads/reread-merge.ts`,
    find: 'image === null ? null : withoutSettled(image, read, trigger, { names, policy });',
    replace: 'image;',
  },
  // Change IDs
  {
    name: 'change IDs: the kind is not in them',
    file: `${change}/change-id.ts`,
    find: 'return `${ENCODING_VERSION}\\n${change.table}\\n${change.kind}\\n${change.writeTime}\\n${change.key.text}`;',
    replace: 'return `${ENCODING_VERSION}\\n${change.table}\\n${change.writeTime}\\n${change.key.text}`;',
  },
  {
    name: 'fingerprints: writes of one row and time are duplicates whatever their cells',
    file: `${change}/change-id.ts`,
    find: "const whole = `${id}${change.marker === null ? 'u' : 'i'}${contents ?? contentsOf(change)}`;",
    replace: 'const whole = `${id}`;',
  },
];
