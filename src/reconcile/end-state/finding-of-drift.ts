import type { BoundTable } from '../../target/bound-table.ts';
import type { NewFinding } from '../../target/stores/finding-store.ts';
import { imageDocument } from '../../target/observation-document.ts';
import type { Drift } from './prove-suspects.ts';
import { digestHex, digestOfRow } from './row-digest.ts';
import { isPresent, shownBySource, shownByTarget } from './row-images.ts';

/** A proven difference as it is noted: both images, and digests of what both sides show at a moment. Pure. */
export function findingOf(
  table: BoundTable,
  { key, classification, source, observed }: Pick<Drift, 'key' | 'classification' | 'source' | 'observed'>,
  nowUs: bigint,
): NewFinding {
  const columns = table.regular.map(({ column }) => column.name);
  const { row } = observed;
  return {
    rowKey: key.text,
    type: classification.type,
    cause: classification.cause,
    columns: classification.columns,
    sourceImage: source === null ? null : imageDocument(table, source),
    targetImage: row === null ? null : imageDocument(table, row.state, row.values),
    sourceChecksum:
      source === null ? null : digestHex(digestOfRow(columns, shownBySource(table, key.values, source, nowUs))),
    targetChecksum: isPresent(row, nowUs)
      ? digestHex(digestOfRow(columns, shownByTarget(table, key.values, row, nowUs)))
      : null,
  };
}
