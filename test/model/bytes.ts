/** Serialised bytes and comparators of the model's CQL types, written from Cassandra's marshal classes. */
import type { CqlName, ModelColumn } from './schema.ts';

function twosComplement(value: bigint): Buffer {
  // BigInteger.toByteArray: as few bytes as hold the sign.
  let length = 1;
  while (value < -(2n ** BigInt(8 * length - 1)) || value >= 2n ** BigInt(8 * length - 1)) length += 1;
  const unsigned = BigInt.asUintN(8 * length, value);
  return Buffer.from(unsigned.toString(16).padStart(2 * length, '0'), 'hex');
}

/** DecimalType: the scale in 4 bytes, then the unscaled value. */
function decimalBytes(text: string): Buffer {
  const point = text.indexOf('.');
  const scale = point < 0 ? 0 : text.length - point - 1;
  const head = Buffer.alloc(4);
  head.writeInt32BE(scale);
  return Buffer.concat([head, twosComplement(BigInt(text.replace('.', '')))]);
}

/** What the cell holds on disk: ties between two live values are decided by it. */
export function serialised(type: CqlName, text: string): Buffer {
  switch (type) {
    case 'int': {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32BE(Number(text));
      return bytes;
    }
    case 'bigint': {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64BE(BigInt(text));
      return bytes;
    }
    case 'text':
      return Buffer.from(text, 'utf8');
    case 'decimal':
      return decimalBytes(text);
    case 'timeuuid':
      return Buffer.from(text.replaceAll('-', ''), 'hex');
  }
}

/** TimeUUIDType: by timestamp, then by the low eight bytes as signed ones. */
function compareTimeUuid(left: string, right: string): number {
  const timeOf = (text: string): string => {
    const [low = '', middle = '', high = ''] = text.split('-');
    return high + middle + low;
  };
  const [a, b] = [timeOf(left), timeOf(right)];
  if (a !== b) return a < b ? -1 : 1;
  const [x, y] = [serialised('timeuuid', left), serialised('timeuuid', right)];
  for (let i = 8; i < 16; i += 1) {
    const difference = x.readInt8(i) - y.readInt8(i);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Comparator of a clustering column, DESC turned round. */
export function compareClusteringValues(column: ModelColumn, left: string, right: string): number {
  let order: number;
  switch (column.type) {
    case 'int':
    case 'bigint':
      order = Number(BigInt(left) - BigInt(right));
      break;
    case 'timeuuid':
      order = compareTimeUuid(left, right);
      break;
    default:
      order = Buffer.compare(serialised(column.type, left), serialised(column.type, right));
  }
  return column.descending ? -order : order;
}
